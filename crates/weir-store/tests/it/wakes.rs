//! What servers tell one another.

use futures_util::{FutureExt, StreamExt};
use weir_store::testing::Fresh;
use weir_store::{Db, Engine, Error, Wake, params};

async fn say(db: &Db, channel: &'static str, payload: &'static str) {
    db.write(move |tx| tx.notify(channel, payload)).await.unwrap();
}

#[tokio::test]
async fn what_is_said_is_heard_once_it_is_committed() {
    let Some(fresh) = Fresh::on(Engine::Postgres).await.unwrap() else { return };
    let (here, there) = (fresh.open().await.unwrap(), fresh.open().await.unwrap());
    let mut wakes = there.listen(&["wakes test, jobs", "wakes \"test\""]);
    assert_eq!(wakes.next().await, Some(Wake::Missed));
    let rolled_back = here.write(|tx| {
        tx.notify("wakes test, jobs", "never")?;
        Err::<(), _>(Error::NoRow)
    });
    rolled_back.await.unwrap_err();
    say(&here, "wakes test, jobs", "41").await;
    say(&here, "another channel", "42").await;
    say(&here, "wakes \"test\"", "43").await;
    for (channel, payload) in [("wakes test, jobs", "41"), ("wakes \"test\"", "43")] {
        let expected = Wake::Notified { channel: channel.to_owned(), payload: payload.to_owned() };
        assert_eq!(wakes.next().await, Some(expected));
    }
    fresh.remove().await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_said() {
    let Some(fresh) = Fresh::on(Engine::Postgres).await.unwrap() else { return };
    let db = fresh.open().await.unwrap();
    let mut wakes = db.listen(&["lost connection test"]);
    assert_eq!(wakes.next().await, Some(Wake::Missed));
    let kill =
        "SELECT CAST(count(pg_terminate_backend(pid)) AS BIGINT) FROM pg_stat_activity WHERE query = $1";
    let killed =
        db.read(move |tx| tx.query_one(kill, params!["LISTEN \"lost connection test\""])?.get::<i64>(0));
    assert_eq!(killed.await.unwrap(), 1);
    assert_eq!(wakes.next().await, Some(Wake::Missed));
    say(&db, "lost connection test", "back").await;
    assert!(matches!(wakes.next().await, Some(Wake::Notified { payload, .. }) if payload == "back"));
    fresh.remove().await.unwrap();
}

#[tokio::test]
async fn sqlite_has_nobody_to_talk_to() {
    let fresh = Fresh::sqlite().unwrap();
    let db = fresh.open().await.unwrap();
    let mut wakes = db.listen(&["jobs"]);
    say(&db, "jobs", "41").await;
    assert_eq!(wakes.next().now_or_never(), None);
}
