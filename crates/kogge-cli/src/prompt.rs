//! Questions to the person at the terminal.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{During as _, Error, Result};

/// Bytes of a typed or piped answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Asks for a line that may be seen.
pub(crate) fn ask(question: &str) -> Result<String> {
    read_line(&mut terminal()?, question)
}

/// Asks for a secret: what is typed is not shown.
pub(crate) fn ask_secret(question: &str) -> Result<String> {
    let mut terminal = terminal()?;
    let silence = Silence::over(&terminal)?;
    let answer = read_line(&mut terminal, question);
    drop(silence);
    // The line's end was not shown either.
    terminal.write_all(b"\n").during(|| "write to the terminal".to_owned())?;
    answer
}

/// A secret from standard input, without the line's end.
pub(crate) fn read_secret() -> Result<String> {
    let mut text = String::new();
    let mut input = std::io::stdin().lock().take(ANSWER_BYTES_MAX);
    input.read_to_string(&mut text).during(|| "read the password from standard input".to_owned())?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Error::usage("standard input holds no password"));
    }
    Ok(secret.to_owned())
}

/// Lets the person decide whether to go on; without one, `--yes` must have been given.
pub(crate) fn confirm(what: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Error::usage(format!("{what}: not done, since nobody can be asked")).hint("give --yes"));
    }
    let answer = ask(&format!("{what}. Go on? [y/N] "))?;
    if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") { Ok(()) } else { Err(Error::general("not done")) }
}

fn terminal() -> Result<File> {
    File::options().read(true).write(true).open("/dev/tty").map_err(|error| {
        Error::usage("there is no terminal to ask on")
            .because(error)
            .hint("give --username and --password-stdin for a login, --yes for a deletion")
    })
}

fn read_line(terminal: &mut File, question: &str) -> Result<String> {
    terminal.write_all(question.as_bytes()).during(|| "write to the terminal".to_owned())?;
    let mut answer = String::new();
    let mut input = BufReader::new(terminal).take(ANSWER_BYTES_MAX);
    input.read_line(&mut answer).during(|| "read from the terminal".to_owned())?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}

/// Keeps the terminal from showing what is typed, until it is dropped.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn over(terminal: &File) -> Result<Self> {
        let action = || "hide what is typed".to_owned();
        let terminal = terminal.try_clone().during(action)?;
        let before = tcgetattr(&terminal).map_err(std::io::Error::from).during(action)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &hidden).map_err(std::io::Error::from).during(action)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Nothing more can be done when the terminal is gone.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}
