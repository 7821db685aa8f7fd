//! Paths of resources against what is there: whether everything that holds a resource exists, and how it is spelled.

use kogge_meta::Snapshot;

use crate::declaration::{Holder, ResourceType};
use crate::error::{ArmError, Result};
use crate::operation::{base, item};
use crate::segment;
use crate::types::TYPES;
use crate::types::resource_group::RESOURCE_GROUP;

/// The path `holder` as its resources were named when they were made.
///
/// # Errors
/// `ResourceGroupNotFound` or `ParentResourceNotFound` for the first one that does not exist.
pub(crate) fn spelled(snapshot: &Snapshot<'_>, holder: &str) -> Result<String> {
    let mut segments = segment::segments(holder)?;
    if let [word, subscription, ..] = segments.as_mut_slice()
        && word.eq_ignore_ascii_case("subscriptions")
    {
        word.make_ascii_lowercase();
        subscription.make_ascii_lowercase();
    }
    let lower = segments.iter().map(|segment| segment.to_lowercase()).collect::<Vec<_>>();
    let mut ancestors: Vec<_> = TYPES.iter().filter(|ty| !matches!(ty.holder, Holder::Scope)).collect();
    ancestors.retain(|ty| lower.get(..item(ty).len()).is_some_and(|path| item(ty).matches(path)));
    ancestors.sort_by_key(|ty| item(ty).len());
    for ty in ancestors {
        let (template, parent) = (item(ty), join(&lower[..base(ty.holder).len()]));
        let name = &mut segments[template.len() - 1];
        let found = snapshot.resource(&ty.kind(), &parent, name)?;
        *name = found.ok_or_else(|| missing(ty, name))?.name;
        template.spell(&mut segments);
    }
    Ok(join(&segments))
}

fn join(segments: &[String]) -> String {
    format!("/{}", segments.join("/"))
}

fn missing(ty: &ResourceType, name: &str) -> ArmError {
    if std::ptr::eq(ty, &RESOURCE_GROUP) {
        return ArmError::not_found("ResourceGroupNotFound", format!("Resource group '{name}' could not be found."));
    }
    let message = format!("The requested operation is on a nested resource. Parent resource '{name}' not found.");
    ArmError::not_found("ParentResourceNotFound", message)
}
