//! The one error that use cases answer with.

use std::sync::Arc;

use kogge_meta::MetaError;
use kogge_store::StoreError;
use kogge_types::Code;

use crate::audit::DenialReason;

/// A refusal or a failure: what the caller is told, and what only the log gets.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub code: Code,
    /// For the caller. Never a secret, never a path of this machine.
    pub message: String,
    /// Structured detail for the caller.
    pub detail: Option<serde_json::Value>,
    /// Why the caller was refused, for the audit; `None` when it is no refusal or its code says why.
    pub denial: Option<DenialReason>,
    /// For the log.
    #[source]
    pub source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// `code` with its own message.
    pub fn of(code: Code) -> Self {
        Self::new(code, code.info().message)
    }

    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), detail: None, denial: None, source: None }
    }

    #[must_use]
    pub fn because(self, denial: DenialReason) -> Self {
        Self { denial: Some(denial), ..self }
    }

    #[must_use]
    pub fn with_detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// A failure of ours, whose cause only the log gets.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::caused(Code::Internal, source)
    }

    fn caused(code: Code, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..Self::of(code) }
    }

    fn full(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            message: "the registry's disk is full; tell its operator".to_owned(),
            ..Self::caused(Code::Unavailable, source)
        }
    }
}

impl From<MetaError> for Error {
    fn from(error: MetaError) -> Self {
        match error {
            MetaError::NoSpace => Self::full(error),
            MetaError::RegistryGone => Self::of(Code::HostUnknown),
            MetaError::Stopped | MetaError::Undone | MetaError::Lost(_) => Self::caused(Code::Unavailable, error),
            MetaError::Engine { .. }
            | MetaError::Address(_)
            | MetaError::Newer { .. }
            | MetaError::Corrupt { .. }
            | MetaError::Io(_) => Self::internal(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSpace => Self::full(error),
            StoreError::Superseded => Self::of(Code::UploadConflict),
            StoreError::NotFound | StoreError::TooShort { .. } | StoreError::Io { .. } => Self::internal(error),
        }
    }
}
