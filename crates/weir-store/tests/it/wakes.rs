//! What servers tell one another.

use futures_util::{FutureExt, StreamExt};
use weir_store::testing::Fresh;
use weir_store::{Db, Engine, Error, Wake, params};

async fn say(db: &Db, channel: &str, payload: &str) {
    db.notify(channel, payload.to_owned()).await.unwrap();
}

/// A channel of this run: all runs on a server hear one another.
fn channel(name: &str) -> String {
    format!("{name} \"{}\"", std::process::id())
}

#[tokio::test]
async fn what_is_said_on_a_channel_is_heard_there() {
    let Some(fresh) = Fresh::on(Engine::Postgres).await.unwrap() else { return };
    let (here, there) = (fresh.open().await.unwrap(), fresh.open().await.unwrap());
    let (jobs, traces, other) = (channel("jobs"), channel("traces"), channel("other"));
    let mut wakes = there.listen(&[&jobs, &traces]);
    assert_eq!(wakes.next().await, Some(Wake::Missed));
    say(&here, &jobs, "41").await;
    say(&here, &other, "42").await;
    say(&here, &traces, "43").await;
    for (channel, payload) in [(jobs, "41".to_owned()), (traces, "43".to_owned())] {
        assert_eq!(wakes.next().await, Some(Wake::Notified { channel, payload }));
    }
    fresh.remove().await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_said() {
    let Some(fresh) = Fresh::on(Engine::Postgres).await.unwrap() else { return };
    let db = fresh.open().await.unwrap();
    let channel = channel("lost");
    let mut wakes = db.listen(&[&channel]);
    assert_eq!(wakes.next().await, Some(Wake::Missed));
    let listening = format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
    let killed = db.read(move |tx| {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1";
        Ok::<_, Error>(tx.query(kill, params![listening])?.len())
    });
    assert_eq!(killed.await.unwrap(), 1);
    assert_eq!(wakes.next().await, Some(Wake::Missed));
    say(&db, &channel, "back").await;
    assert_eq!(wakes.next().await, Some(Wake::Notified { channel, payload: "back".to_owned() }));
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
