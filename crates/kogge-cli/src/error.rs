//! What went wrong, told for a person: one line, its causes, and hints on what to do.

use std::io::Write as _;
use std::process::ExitCode;

/// What kind of failure ended the command. It decides the exit code and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything without a kind of its own. Exit code 1.
    General,
    /// The command line asks for something that makes no sense. Exit code 2, as clap's own errors.
    Usage,
    /// The registry, the layout or the file does not have what was named. Exit code 3.
    NotFound,
    /// Not logged in, or not allowed. Exit code 4.
    Denied,
    /// The registry could not be reached, or the connection broke for good. Exit code 5.
    Network,
}

impl Kind {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::General => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Denied => 4,
            Self::Network => 5,
        }
    }
}

/// A failure with its cause chain and hints.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    pub(crate) kind: Kind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    hints: Vec<String>,
    /// The HTTP status of the answer that caused it, if one did.
    status: Option<u16>,
    /// The registry's own error codes, as its body gave them.
    codes: Vec<String>,
}

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, hints: Vec::new(), status: None, codes: Vec::new() }
    }

    pub(crate) fn general(message: impl Into<String>) -> Self {
        Self::new(Kind::General, message)
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    #[must_use]
    pub(crate) fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn with_answer(mut self, status: u16, codes: Vec<String>) -> Self {
        self.status = Some(status);
        self.codes = codes;
        self
    }

    /// The same failure in other words.
    #[must_use]
    pub(crate) fn retold(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Puts `message` above this error, which becomes its cause. Kind, hints and status stay.
    #[must_use]
    pub(crate) fn context(mut self, message: impl Into<String>) -> Self {
        let (kind, hints, status) = (self.kind, std::mem::take(&mut self.hints), self.status);
        let codes = self.codes.clone();
        Self { kind, message: message.into(), source: Some(Box::new(self)), hints, status, codes }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.status
    }

    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|own| own == code)
    }

    pub(crate) fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The message and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.message.clone();
        for cause in causes(self) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        text
    }

    /// Writes the error to standard error and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let mut lines = vec![format!("error: {self}")];
        lines.extend(causes(self).into_iter().map(|cause| format!("  caused by: {cause}")));
        lines.extend(self.hints.iter().map(|hint| format!("hint: {hint}")));
        tell(&lines.join("\n"));
        ExitCode::from(self.kind.exit_code())
    }
}

/// Writes a line to standard error. When that is broken there is nobody to tell, and the exit code still counts.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The texts of the causes, without those that only repeat the end of the line above.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut texts = Vec::new();
    let mut above = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !above.ends_with(&text) {
            texts.push(text.clone());
        }
        above = text;
        next = cause.source();
    }
    texts
}

/// Something that can fail by `io`: adds what was being done.
pub(crate) trait During<T> {
    /// Names the action that failed, a verb phrase: `read index.json`.
    fn during(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> During<T> for std::io::Result<T> {
    fn during(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::General };
            Error::new(kind, format!("cannot {}", action())).because(error)
        })
    }
}

/// `text` from another machine, made safe to show on a terminal: no control characters, and a bound on its length.
pub(crate) fn printable(text: &str) -> String {
    const CHARS_MAX: usize = 1_000;
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(CHARS_MAX)
        .collect::<String>()
        .trim()
        .to_owned();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_kind_and_hints_and_becomes_the_first_line() {
        let inner = Error::new(Kind::Denied, "401 Unauthorized").hint("log in").with_answer(401, vec!["DENIED".into()]);
        let outer = inner.context("cannot pull a/b");
        assert_eq!(outer.to_string(), "cannot pull a/b");
        assert_eq!(outer.chain(), "cannot pull a/b: 401 Unauthorized");
        assert_eq!((outer.kind, outer.status(), outer.hints()), (Kind::Denied, Some(401), &["log in".to_owned()][..]));
        assert!(outer.has_code("DENIED"));
    }

    #[test]
    fn a_cause_that_repeats_the_line_above_is_left_out() {
        let error = Error::general("cannot read x: no such file").because("no such file");
        assert_eq!(error.chain(), "cannot read x: no such file");
    }

    #[test]
    fn text_of_others_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a [2Jb");
        assert_eq!(printable(&"x".repeat(2_000)).chars().count(), 1_001);
    }
}
