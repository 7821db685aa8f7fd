//! What a resource type does that its declaration cannot say.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use kogge_core::Core;
use kogge_core::auth::Caller;
use kogge_meta::{Change, Resource, Snapshot, Tx};
use kogge_types::ResourceId;

use crate::body::Desired;
use crate::deployment::Deployment;
use crate::error::Result;
use crate::representation::Computed;
use crate::selection::Selection;

/// A resource that is about to be shown.
pub(crate) struct Shown<'a, 's> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) snapshot: &'a Snapshot<'s>,
    /// Its path, in the spelling of clients.
    pub(crate) path: &'a str,
    pub(crate) resource: &'a Resource,
}

/// A resource that is about to be written.
pub(crate) struct Draft<'a, 's> {
    pub(crate) asker: &'a Asker,
    pub(crate) snapshot: &'a Snapshot<'s>,
    /// The path of what holds it, in lower case.
    pub(crate) parent: &'a str,
    pub(crate) name: &'a str,
    /// The identity that it will have if it is new.
    pub(crate) id: ResourceId,
    pub(crate) existing: Option<&'a Resource>,
    /// What it shall be; may be completed here.
    pub(crate) desired: Desired,
}

/// Who makes a write, for types that ask for more than their declared right.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) core: Arc<Core>,
    pub(crate) deployment: Arc<Deployment>,
    pub(crate) caller: Caller,
}

impl Asker {
    /// Whether the caller may do `action` at `scope`, a path in any case.
    pub(crate) fn may(&self, action: &str, scope: &str) -> bool {
        self.core.authorize_management(&self.caller, action, &scope.to_lowercase()).is_ok()
    }
}

/// Hooks of a resource type. All run within the transaction that reads or writes the resource; none decides rights.
pub(crate) trait Behaviour: Debug + Sync {
    /// The read-only properties that are worked out.
    fn computed(&self, _shown: &Shown<'_, '_>) -> Result<Computed> {
        Ok(Computed::new())
    }

    /// Checks what the properties say together, and against other resources. Each value by itself has been checked.
    fn prepare(&self, _draft: &mut Draft<'_, '_>) -> Result<()> {
        Ok(())
    }

    /// Writes what belongs to the resource elsewhere. `before` is what it was; `None` when it is new.
    fn written(
        &self,
        _tx: &mut Tx<'_>,
        _resource: &Resource,
        _before: Option<&Resource>,
        _desired: &Desired,
    ) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }

    /// Refuses to delete a resource by itself; one that goes with its holder is not asked about.
    fn deletable(&self, _snapshot: &Snapshot<'_>, _resource: &Resource, _asker: &Asker) -> Result<()> {
        Ok(())
    }

    /// Deletes what belongs to the resource elsewhere, whether it goes by itself or with its holder. A refusal here
    /// keeps the holder too.
    fn deleting(&self, _tx: &mut Tx<'_>, _resource: &Resource, _asker: &Asker) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }

    /// Where resources of the type are kept, whatever scope they are asked at: the path of their holder.
    fn home<'a>(&self, _deployment: &Deployment, holder: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(holder)
    }

    /// Which resources a `$filter` of their listing selects.
    fn selection(&self, filter: Option<&str>) -> Result<Selection> {
        Selection::read(filter)
    }

    /// Resources that every holder has without anybody having made them, by name. Nobody changes or deletes them.
    fn built_in(&self, _deployment: &Deployment, _parent: &str) -> Vec<Resource> {
        Vec::new()
    }
}
