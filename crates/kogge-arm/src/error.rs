//! Errors as Azure Resource Manager words them: `{"error":{"code","message","target","details"}}`.

use std::borrow::Cow;

use http::StatusCode;
use kogge_meta::MetaError;
use kogge_types::Code;
use serde_json::{Map, Value, json};

/// A refusal or a failure.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ArmError {
    pub status: StatusCode,
    pub code: Cow<'static, str>,
    /// For the caller.
    pub message: String,
    /// What the error is about: a property's path, a parameter's name.
    pub target: Option<String>,
    pub details: Vec<ArmError>,
    /// For the log.
    #[source]
    pub source: Option<Box<kogge_core::Error>>,
}

pub(crate) type Result<T, E = ArmError> = std::result::Result<T, E>;

impl ArmError {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let (code, message) = (Cow::Borrowed(code), message.into());
        Self { status, code, message, target: None, details: Vec::new(), source: None }
    }

    pub fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A value that its property does not take.
    pub fn parameter(target: impl Into<String>, message: impl Into<String>) -> Self {
        Self::bad("InvalidParameter", message).about(target)
    }

    /// A body that is not what the operation reads.
    pub fn content(message: impl Into<String>) -> Self {
        Self::bad("InvalidRequestContent", message)
    }

    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    #[must_use]
    pub fn about(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The body of the answer.
    pub fn to_json(&self) -> Value {
        json!({ "error": self.describe() })
    }

    fn describe(&self) -> Value {
        let mut error = Map::new();
        error.insert("code".to_owned(), self.code.as_ref().into());
        error.insert("message".to_owned(), self.message.as_str().into());
        if let Some(target) = &self.target {
            error.insert("target".to_owned(), target.as_str().into());
        }
        if !self.details.is_empty() {
            error.insert("details".to_owned(), self.details.iter().map(Self::describe).collect());
        }
        Value::Object(error)
    }
}

/// A refusal within a transaction travels as the cause of the rules' error, which undoes the transaction.
impl From<ArmError> for kogge_core::Error {
    fn from(error: ArmError) -> Self {
        match error.source.clone() {
            Some(source) => *source,
            None => Self::internal(error),
        }
    }
}

impl From<kogge_core::Error> for ArmError {
    fn from(error: kogge_core::Error) -> Self {
        if let Some(refusal) = error.source.as_ref().and_then(|source| source.downcast_ref::<Self>()) {
            return refusal.clone();
        }
        let status = StatusCode::from_u16(error.code.info().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = match error.code {
            Code::Internal => "InternalServerError",
            Code::Unavailable => "ServiceUnavailable",
            Code::TooManyRequests => "TooManyRequests",
            Code::FormTooLarge => "RequestContentTooLarge",
            _ => error.code.info().word,
        };
        Self { source: Some(Box::new(error.clone())), ..Self::new(status, code, error.message) }
    }
}

impl From<MetaError> for ArmError {
    fn from(error: MetaError) -> Self {
        kogge_core::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_survives_a_transaction() {
        let refusal = ArmError::conflict("AlreadyInUse", "taken").about("name");
        let back = ArmError::from(kogge_core::Error::from(refusal.clone()));
        assert_eq!((back.status, back.to_json()), (refusal.status, refusal.to_json()));
        let failure = ArmError::from(kogge_core::Error::of(Code::Internal));
        let back = ArmError::from(kogge_core::Error::from(failure));
        assert_eq!(back.code, "InternalServerError");
        assert!(back.source.is_some_and(|source| source.code == Code::Internal));
    }
}
