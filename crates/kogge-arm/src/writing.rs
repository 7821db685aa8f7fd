//! PUT, PATCH and DELETE of one resource: read, checked and written in one transaction.

use std::sync::Arc;

use http::StatusCode;
use kogge_meta::{Author, Change, Commit, NewResource, Resource, Tx};
use kogge_types::{ResourceId, limits};
use serde_json::Value;

use crate::ancestry::spelled;
use crate::behaviour::{Asker, Draft};
use crate::body::{self, Desired};
use crate::call::{Call, Reply};
use crate::condition::{Condition, entity_tag};
use crate::declaration::{Holder, ResourceType};
use crate::error::{ArmError, Result};
use crate::reading::{location_of, not_found, show};
use crate::types::TYPES;
use crate::types::resource_group::RESOURCE_GROUP;

/// How a body is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// It says all.
    Put,
    /// It says what changes.
    Patch,
}

/// All that a write knows before its transaction begins.
struct Work {
    asker: Asker,
    ty: &'static ResourceType,
    /// The holder's path as the caller wrote it.
    holder: String,
    name: String,
    condition: Condition,
}

/// What a write did.
struct Written {
    created: bool,
    tag: String,
    shown: Value,
}

impl Call<'_> {
    pub(crate) async fn put(&self, ty: &'static ResourceType) -> Result<Reply> {
        self.write(ty, Mode::Put).await
    }

    pub(crate) async fn patch(&self, ty: &'static ResourceType) -> Result<Reply> {
        self.write(ty, Mode::Patch).await
    }

    async fn write(&self, ty: &'static ResourceType, mode: Mode) -> Result<Reply> {
        let (work, body) = (self.work(ty)?, self.body()?);
        let (author, id) = (self.core.author(self.request.caller), self.core.random_id());
        let written = self
            .core
            .write_policy(move |tx| Ok(work.write(tx, mode, &body, &author, id)?))
            .await
            .map_err(ArmError::from)?;
        let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        Ok(Reply::new(status, written.shown).tagged(&written.tag))
    }

    /// Deleting what is not there succeeds, as clients that try again expect; only of a resource group they expect 404.
    pub(crate) async fn delete(&self, ty: &'static ResourceType) -> Result<Reply> {
        let work = self.work(ty)?;
        let deleted = self.core.write_policy(move |tx| Ok(work.delete(tx)?)).await.map_err(ArmError::from)?;
        match deleted {
            // Azure tells what was taken away from a scope; its clients read it.
            Some(shown) if matches!(ty.holder, Holder::Scope) => Ok(Reply::ok(shown)),
            Some(_) => Ok(Reply::empty(StatusCode::OK)),
            None if std::ptr::eq(ty, &RESOURCE_GROUP) => Err(not_found(ty, &self.route.holder, self.name())),
            None => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        }
    }

    /// The caller, for what runs in a transaction.
    pub(crate) fn asker(&self) -> Asker {
        let (core, deployment) = (Arc::clone(self.core), Arc::clone(self.deployment));
        Asker { core, deployment, caller: self.request.caller.clone() }
    }

    fn work(&self, ty: &'static ResourceType) -> Result<Work> {
        Ok(Work {
            asker: self.asker(),
            ty,
            holder: self.route.holder.clone(),
            name: self.name().to_owned(),
            condition: Condition::read(self.request.headers)?,
        })
    }
}

impl Work {
    fn write(self, tx: &mut Tx<'_>, mode: Mode, body: &Value, by: &Author, id: ResourceId) -> Result<Commit<Written>> {
        let (ty, deployment) = (self.ty, self.asker.deployment.as_ref());
        let holder = self.home(tx)?;
        let (kind, parent) = (ty.kind(), holder.to_lowercase());
        self.refuse_built_in(&parent)?;
        let existing = tx.resource(&kind, &parent, &self.name)?;
        if mode == Mode::Patch && existing.is_none() {
            return Err(not_found(ty, &holder, &self.name));
        }
        self.condition.check(existing.as_ref().map(|existing| existing.version))?;
        self.check_envelope(body, &holder)?;
        if existing.is_none() {
            ty.naming.check(&self.name)?;
        }
        let before = existing.as_ref().map(|existing| Desired {
            location: location_of(ty, existing, deployment),
            registers: existing.registers.clone(),
            ..Desired::default()
        });
        let desired = match (mode, &before) {
            (Mode::Patch, Some(before)) => body::patch(ty, body, before)?,
            (Mode::Put | Mode::Patch, before) => body::put(ty, body, before.as_ref())?,
        };
        let name = existing.as_ref().map_or(self.name.as_str(), |existing| &existing.name);
        let existing = existing.as_ref();
        let mut draft = Draft { asker: &self.asker, snapshot: tx, parent: &parent, name, id, existing, desired };
        ty.behaviour.prepare(&mut draft)?;
        let (id, desired) = (draft.id, draft.desired);
        let (location, registers) = (desired.location.as_deref(), &desired.registers);
        let new = NewResource { id, kind: &kind, parent: &parent, name, location, by, registers };
        let (resource, change) = tx.put_resource(&new)?;
        let mut changes = vec![change];
        changes.extend(ty.behaviour.written(tx, &resource, existing, &desired)?);
        let shown = show(tx, deployment, ty, &holder, &resource)?;
        let written = Written { created: existing.is_none(), tag: entity_tag(resource.version), shown };
        Ok(Commit::new(written, changes))
    }

    /// Answers how the resource was shown; `None` when there was none.
    fn delete(self, tx: &mut Tx<'_>) -> Result<Commit<Option<Value>>> {
        let holder = match self.home(tx) {
            Ok(holder) => holder,
            // What was deleted with its holder is deleted.
            Err(error) if error.status == StatusCode::NOT_FOUND => return Ok(Commit::quiet(None)),
            Err(error) => return Err(error),
        };
        let (kind, parent) = (self.ty.kind(), holder.to_lowercase());
        self.refuse_built_in(&parent)?;
        let Some(resource) = tx.resource(&kind, &parent, &self.name)? else { return Ok(Commit::quiet(None)) };
        self.condition.check(Some(resource.version))?;
        self.ty.behaviour.deletable(tx, &resource, &self.asker)?;
        let shown = show(tx, &self.asker.deployment, self.ty, &holder, &resource)?;
        let mut changes = self.ty.behaviour.deleting(tx, &resource, &self.asker)?;
        changes.extend(delete_beneath(tx, &resource, &self.asker)?);
        changes.extend(tx.delete_resource(&kind, &parent, &self.name)?);
        Ok(Commit::new(Some(shown), changes))
    }

    /// The spelled path of what holds the resource.
    fn home(&self, tx: &Tx<'_>) -> Result<String> {
        let holder = spelled(tx, &self.holder)?;
        Ok(self.ty.behaviour.home(&self.asker.deployment, &holder).into_owned())
    }

    fn refuse_built_in(&self, parent: &str) -> Result<()> {
        let built_in = self.ty.behaviour.built_in(&self.asker.deployment, parent);
        if !built_in.iter().any(|resource| resource.name.eq_ignore_ascii_case(&self.name)) {
            return Ok(());
        }
        let message = format!("'{}' is built in; it cannot be changed or deleted.", self.name);
        Err(ArmError::conflict("ResourceIsBuiltIn", message).about("name"))
    }

    /// A body that says whose it is must say what the path says.
    fn check_envelope(&self, body: &Value, holder: &str) -> Result<()> {
        let says = |key: &str, expected: &str| match body.get(key).and_then(Value::as_str) {
            Some(said) if !said.eq_ignore_ascii_case(expected) => {
                let message = format!("The {key} in the request's body is '{said}', not the '{expected}' of its path.");
                Err(ArmError::bad("ResourceIdMismatch", message).about(key))
            }
            Some(_) | None => Ok(()),
        };
        says("name", &self.name)?;
        says("id", &self.ty.path(holder, &self.name))
    }
}

/// Lets the types of what lies beneath `resource` delete what belongs to it elsewhere.
fn delete_beneath(tx: &mut Tx<'_>, resource: &Resource, asker: &Asker) -> Result<Vec<Change>> {
    let (path, mut changes) = (resource.path(), Vec::new());
    for ty in TYPES {
        let mut after: Option<(String, String)> = None;
        loop {
            let last = after.as_ref().map(|(parent, name)| (parent.as_str(), name.as_str()));
            let page = tx.resources(&ty.kind(), &path, last, limits::WORK_BATCH_ROWS)?;
            for resource in &page {
                changes.extend(ty.behaviour.deleting(tx, resource, asker)?);
            }
            match page.last() {
                Some(last) if page.len() == limits::WORK_BATCH_ROWS => {
                    after = Some((last.parent.clone(), last.name.clone()));
                }
                Some(_) | None => break,
            }
        }
    }
    Ok(changes)
}
