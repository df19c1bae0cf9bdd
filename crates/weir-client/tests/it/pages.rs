//! Lists: one page, the pages after it, and how they are found.

use futures_util::TryStreamExt;
use serde_json::{Value, json};
use weir_client::Client;
use weir_client::types::JobStatus;
use wiremock::matchers::{method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn pipeline(id: i64) -> Value {
    json!({"id": id, "sha": "3f", "ref": "main", "status": "success"})
}

async fn page(server: &MockServer, number: &str, next: &str, ids: &[i64]) {
    let records: Vec<Value> = ids.iter().map(|id| pipeline(*id)).collect();
    Mock::given(method("GET"))
        .and(path("/api/v4/projects/5/pipelines"))
        .and(query_param("page", number))
        .respond_with(
            ResponseTemplate::new(200)
                .insert_header("X-Page", number)
                .insert_header("X-Next-Page", next)
                .insert_header("X-Total", "5")
                .set_body_json(records),
        )
        .mount(server)
        .await;
}

#[tokio::test]
async fn a_page_tells_where_it_stands() {
    let server = MockServer::start().await;
    page(&server, "2", "3", &[3, 2]).await;
    let client = Client::builder(server.uri()).build().unwrap();
    let page = client.project(5).pipelines().page(2).per_page(2).await.unwrap();
    assert_eq!(page.items.iter().map(|pipeline| pipeline.id.0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!((page.info.page, page.info.next_page, page.info.total), (Some(2), Some(3), Some(5)));
}

#[tokio::test]
async fn a_stream_goes_through_all_pages_by_their_numbers() {
    let server = MockServer::start().await;
    page(&server, "1", "2", &[5, 4]).await;
    page(&server, "2", "3", &[3, 2]).await;
    page(&server, "3", "", &[1]).await;
    let client = Client::builder(server.uri()).build().unwrap();
    let pipelines: Vec<_> = client.project(5).pipelines().page(1).stream().try_collect().await.unwrap();
    assert_eq!(pipelines.iter().map(|pipeline| pipeline.id.0).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_link_is_followed_by_its_query_and_not_to_its_host() {
    let server = MockServer::start().await;
    let link = r#"<https://elsewhere.example/api/v4/projects/5/jobs?cursor=abc&id=5>; rel="next""#;
    let job = |id| json!([{"id": id, "status": "failed", "stage": "test", "name": "n", "ref": "main"}]);
    Mock::given(method("GET"))
        .and(path("/api/v4/projects/5/jobs"))
        .and(query_param("pagination", "keyset"))
        .and(query_param("scope[]", "failed"))
        .and(query_param_is_missing("cursor"))
        .respond_with(ResponseTemplate::new(200).insert_header("Link", link).set_body_json(job(2)))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(path("/api/v4/projects/5/jobs"))
        .and(query_param("cursor", "abc"))
        .respond_with(ResponseTemplate::new(200).set_body_json(job(1)))
        .expect(1)
        .mount(&server)
        .await;
    let client = Client::builder(server.uri()).build().unwrap();
    let jobs = client.project(5).jobs().keyset().scope(&[JobStatus::Failed]).all().await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.id.0).collect::<Vec<_>>(), [2, 1]);
}
