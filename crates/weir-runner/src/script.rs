//! Writes what a job runs as a shell script.

use std::fmt::Write as _;

const GREEN: &str = "\x1b[32;1m";
const RESET: &str = "\x1b[0;m";

/// The shell that runs scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shell {
    /// GNU bash.
    #[default]
    Bash,
    /// Any POSIX shell.
    Sh,
}

impl Shell {
    /// The program's name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Sh => "sh",
        }
    }
}

impl std::fmt::Display for Shell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.program())
    }
}

/// The script that runs `commands`: stops at the first that fails and shows each before it runs, in green.
///
/// Of a command with several lines only the first is shown. With `xtrace` the shell shows everything that it does
/// (`CI_DEBUG_TRACE`). Source: `shells/bash.go` and `writeCommands` in `shells/abstract.go` of gitlab-runner.
pub fn write(shell: Shell, commands: &[String], xtrace: bool) -> String {
    let mut script = String::from(match shell {
        Shell::Bash => "set -eo pipefail\nset +o noclobber\n",
        // Not every POSIX shell knows the option, and an unknown one would end the script.
        Shell::Sh => "case \"$(set -o)\" in *pipefail*) set -o pipefail;; esac\nset -e\nset +o noclobber\n",
    });
    if xtrace {
        script.push_str("set -o xtrace\n");
    }
    for command in commands {
        let command = command.trim();
        let shown = match command.split_once('\n') {
            None if command.is_empty() => String::new(),
            None => format!("{GREEN}$ {command}{RESET}"),
            Some((first, _)) => {
                format!("{GREEN}$ {} # collapsed multi-line command{RESET}", first.trim_end_matches('\r'))
            }
        };
        // `printf`, since the `echo` of some shells reads backslashes.
        let _ = writeln!(script, "printf '%s\\n' {}\n{command}", quote(&shown));
    }
    script
}

/// `text` as one word of any POSIX shell.
pub fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_before_they_run() {
        let commands = ["echo 'hi'".to_owned(), "if true; then\n  ls\nfi\n".to_owned(), " ".to_owned()];
        let script = write(Shell::Bash, &commands, false);
        insta::assert_snapshot!(script.replace('\x1b', "ESC"), @r"
        set -eo pipefail
        set +o noclobber
        printf '%s\n' 'ESC[32;1m$ echo '\''hi'\''ESC[0;m'
        echo 'hi'
        printf '%s\n' 'ESC[32;1m$ if true; then # collapsed multi-line commandESC[0;m'
        if true; then
          ls
        fi
        printf '%s\n' ''
        ");
    }
}
