//! GET and HEAD of one resource.

use std::sync::Arc;

use http::StatusCode;
use kogge_meta::{Resource, Snapshot};
use serde_json::Value;

use crate::ancestry::spelled;
use crate::behaviour::Shown;
use crate::call::{Call, Reply};
use crate::condition::entity_tag;
use crate::declaration::ResourceType;
use crate::deployment::Deployment;
use crate::error::{ArmError, Result};
use crate::representation;
use crate::types::resource_group::RESOURCE_GROUP;

impl Call<'_> {
    pub(crate) async fn get(&self, ty: &'static ResourceType) -> Result<Reply> {
        let (resource, shown) = self.find(ty).await?;
        Ok(Reply::ok(shown).tagged(&entity_tag(resource.version)))
    }

    pub(crate) async fn head(&self, ty: &'static ResourceType) -> Result<Reply> {
        self.find(ty).await?;
        Ok(Reply::empty(StatusCode::NO_CONTENT))
    }

    /// The resource that the path names, and how it is shown.
    ///
    /// # Errors
    /// 404 when it, or what holds it, does not exist.
    pub(crate) async fn find(&self, ty: &'static ResourceType) -> Result<(Resource, Value)> {
        let (holder, name) = (self.route.holder.clone(), self.name().to_owned());
        let deployment = Arc::clone(self.deployment);
        self.read(move |snapshot| {
            let holder = spelled(snapshot, &holder)?;
            let holder = ty.behaviour.home(&deployment, &holder);
            let found = stored_or_built_in(snapshot, &deployment, ty, &holder, &name)?;
            let resource = found.ok_or_else(|| not_found(ty, &holder, &name))?;
            let shown = show(snapshot, &deployment, ty, &holder, &resource)?;
            Ok((resource, shown))
        })
        .await
    }

    /// The resource's name in the path, as the caller wrote it.
    pub(crate) fn name(&self) -> &str {
        self.route.name.as_deref().unwrap_or_default()
    }

    /// Runs `read` on a consistent view of the metadata.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Snapshot<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        Ok(self.core.read_metadata(move |snapshot| read(snapshot).map_err(kogge_core::Error::from)).await?)
    }
}

pub(crate) fn stored_or_built_in(
    snapshot: &Snapshot<'_>,
    deployment: &Deployment,
    ty: &ResourceType,
    holder: &str,
    name: &str,
) -> Result<Option<Resource>> {
    let parent = holder.to_lowercase();
    let built_in = ty.behaviour.built_in(deployment, &parent);
    match built_in.into_iter().find(|resource| resource.name.eq_ignore_ascii_case(name)) {
        Some(resource) => Ok(Some(resource)),
        None => Ok(snapshot.resource(&ty.kind(), &parent, name)?),
    }
}

/// How clients see `resource`, which the spelled path `holder` holds.
pub(crate) fn show(
    snapshot: &Snapshot<'_>,
    deployment: &Deployment,
    ty: &ResourceType,
    holder: &str,
    resource: &Resource,
) -> Result<Value> {
    let path = ty.path(holder, &resource.name);
    let computed = ty.behaviour.computed(&Shown { deployment, snapshot, path: &path, resource })?;
    Ok(representation::show(ty, &path, resource, location_of(ty, resource, deployment), computed))
}

/// Where a tracked resource is: with the deployment, when its maker could not say.
pub(crate) fn location_of(ty: &ResourceType, resource: &Resource, deployment: &Deployment) -> Option<String> {
    ty.is_tracked().then(|| resource.location.clone().unwrap_or_else(|| deployment.location.clone()))
}

pub(crate) fn not_found(ty: &ResourceType, holder: &str, name: &str) -> ArmError {
    if std::ptr::eq(ty, &RESOURCE_GROUP) {
        return ArmError::not_found("ResourceGroupNotFound", format!("Resource group '{name}' could not be found."));
    }
    let under = holder.rsplit('/').next().unwrap_or_default();
    let message = format!("The Resource '{}/{name}' under '{under}' was not found.", ty.name);
    ArmError::not_found("ResourceNotFound", message)
}
