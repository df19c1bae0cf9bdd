//! Runs one program in its own process group, its output into the trace, and ends the whole group when told to.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Command;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::limits;
use crate::trace::Trace;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal that the runner did not send.
    Signaled(i32),
    /// Because the runner ended it.
    Stopped,
}

/// A process group; ends with its owner.
#[derive(Debug)]
pub(crate) struct Group(Pid);

impl Group {
    fn signal(&self, signal: Signal) {
        // The only error is that nobody is left, which is the aim.
        let _ = kill_process_group(self.0, signal);
    }

    fn is_alive(&self) -> bool {
        test_kill_process_group(self.0).is_ok()
    }

    async fn until_gone(&self) {
        while self.is_alive() {
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks all members to end, and ends them if they have not after `grace`.
    pub(crate) async fn stop(self, grace: Duration) {
        self.signal(Signal::TERM);
        let _ = tokio::time::timeout(grace, self.until_gone()).await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// Runs `command` without input; its output and errors go to `trace` in the order they are written.
///
/// Once `stop` is cancelled, the group gets `SIGTERM`, and after `grace` `SIGKILL`. A background process that keeps the
/// output open does not delay the end; it is returned as the rest of the group, to be ended when the job ends.
pub(crate) async fn run(
    mut command: Command,
    trace: &Trace,
    stop: &CancellationToken,
    grace: Duration,
) -> io::Result<(Ended, Option<Group>)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
    let mut child = command.spawn()?;
    // The command holds the writing end, so that the pipe would never close.
    drop(command);
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let Some(group) = pid.map(Group) else {
        return Err(io::Error::other("the process has no id"));
    };
    let mut output = Receiver::from_owned_fd(OwnedFd::from(reader))?;

    let mut buffer = Vec::with_capacity(limits::READ_BYTES);
    let mut is_open = true;
    let mut status: Option<ExitStatus> = None;
    let mut kill_at: Option<Instant> = None;
    let far = Instant::now() + Duration::from_hours(24 * 365);
    let (mut drain_end, mut quiet_at) = (far, far);
    while status.is_none() || is_open {
        tokio::select! {
            read = output.read_buf(&mut buffer), if is_open => {
                is_open = read? > 0;
                trace.write(&buffer);
                buffer.clear();
                if status.is_some() {
                    quiet_at = Instant::now() + limits::DRAIN_QUIET;
                }
            }
            ended = child.wait(), if status.is_none() => {
                status = Some(ended?);
                drain_end = Instant::now() + limits::DRAIN;
                quiet_at = Instant::now() + limits::DRAIN_QUIET;
            }
            () = stop.cancelled(), if kill_at.is_none() => {
                group.signal(Signal::TERM);
                kill_at = Some(Instant::now() + grace);
            }
            () = sleep_until(kill_at.unwrap_or(far)), if kill_at.is_some() && status.is_none() => {
                group.signal(Signal::KILL);
            }
            () = sleep_until(drain_end.min(quiet_at)), if status.is_some() => is_open = false,
        }
    }
    trace.flush();
    if let Some(kill_at) = kill_at {
        let _ = tokio::time::timeout_at(kill_at, group.until_gone()).await;
        return Ok((Ended::Stopped, None));
    }
    let ended = status.map_or(Ended::Stopped, |status| match status.code() {
        Some(code) => Ended::Exited(code),
        None => Ended::Signaled(std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default()),
    });
    Ok((ended, group.is_alive().then_some(group)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mask::Masker;

    async fn sh(script: &str, stop: &CancellationToken) -> (Ended, Option<Group>, String) {
        let trace = Trace::new(Masker::default(), 1 << 20, true);
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let (ended, rest) = run(command, &trace, stop, Duration::from_millis(200)).await.unwrap();
        (ended, rest, String::from_utf8_lossy(&trace.read(0, usize::MAX)).into_owned())
    }

    #[tokio::test]
    async fn output_and_errors_come_in_the_order_they_were_written() {
        let (ended, rest, output) =
            sh("for i in 1 2 3; do echo out$i; echo err$i >&2; done; exit 3", &CancellationToken::new())
                .await;
        assert_eq!(ended, Ended::Exited(3));
        assert_eq!(output, "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
        assert!(rest.is_none());
    }

    #[tokio::test]
    async fn a_background_process_does_not_hold_the_end_and_can_be_ended_later() {
        let (ended, rest, output) = sh("sleep 600 & echo done", &CancellationToken::new()).await;
        assert_eq!((ended, output.as_str()), (Ended::Exited(0), "done\n"));
        let group = rest.expect("the sleeper is left");
        let Group(pid) = group;
        group.stop(Duration::from_secs(5)).await;
        assert!(test_kill_process_group(pid).is_err());
    }

    #[tokio::test]
    async fn a_stop_ends_the_whole_group_even_those_who_ignore_it() {
        let stop = CancellationToken::new();
        stop.cancel();
        let (ended, rest, _) = sh("trap '' TERM; sleep 600 & sleep 600; sleep 600", &stop).await;
        assert_eq!(ended, Ended::Stopped);
        assert!(rest.is_none());
    }

    #[tokio::test]
    async fn a_signal_from_elsewhere_is_told_apart() {
        let (ended, _, _) = sh("kill -9 $$", &CancellationToken::new()).await;
        assert_eq!(ended, Ended::Signaled(9));
    }
}
