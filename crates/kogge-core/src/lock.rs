//! What lock attributes forbid, in ACR's words.

use kogge_meta::Attributes;
use kogge_types::Code;

use crate::error::{Error, Result};

fn refuse_unless(allowed: bool) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::of(Code::Disallowed)) }
}

pub(crate) fn require_read(attributes: Attributes) -> Result<()> {
    refuse_unless(attributes.read_enabled)
}

pub(crate) fn require_write(attributes: Attributes) -> Result<()> {
    refuse_unless(attributes.write_enabled)
}

pub(crate) fn require_delete(attributes: Attributes) -> Result<()> {
    refuse_unless(attributes.allows_delete())
}
