//! What Azure Container Registry offers and this version does not yet. Lists are answered: there are no such resources,
//! and clients that walk through all that a registry has go on. All else is refused by name, so that nobody takes it
//! for done.

use http::StatusCode;

use crate::declaration::ResourceType;
use crate::error::ArmError;
use crate::types::registry::REGISTRY;

/// A child type or an action of a resource that a later version will have.
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) holder: &'static ResourceType,
    /// The segment after the holder's path.
    pub(crate) collection: &'static str,
    /// What users call it.
    feature: &'static str,
    kind: LaterKind,
    /// Actions of one such resource.
    pub(crate) actions: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LaterKind {
    Resources,
    Action,
}

const fn resources(collection: &'static str, feature: &'static str, actions: &'static [&'static str]) -> Later {
    Later { holder: &REGISTRY, collection, feature, kind: LaterKind::Resources, actions }
}

const fn action(collection: &'static str, feature: &'static str) -> Later {
    Later { holder: &REGISTRY, collection, feature, kind: LaterKind::Action, actions: &[] }
}

/// All of it.
pub(crate) static LATER: &[Later] = &[
    resources("webhooks", "Webhooks", &["ping", "listEvents", "getCallbackConfig"]),
    resources("cacheRules", "Artifact cache", &[]),
    resources("credentialSets", "Artifact cache", &[]),
    resources("tasks", "Tasks", &["listDetails"]),
    resources("taskRuns", "Tasks", &["listDetails"]),
    resources("runs", "Tasks", &["cancel", "listLogSasUrl"]),
    resources("agentPools", "Agent pools", &["listQueueStatus"]),
    resources("privateEndpointConnections", "Private endpoints", &[]),
    resources("privateLinkResources", "Private endpoints", &[]),
    resources("connectedRegistries", "Connected registries", &["deactivate", "resync"]),
    resources("exportPipelines", "Transfer", &[]),
    resources("importPipelines", "Transfer", &[]),
    resources("pipelineRuns", "Transfer", &[]),
    action("importImage", "Import"),
    action("scheduleRun", "Tasks"),
    action("listBuildSourceUploadUrl", "Tasks"),
];

impl Later {
    pub(crate) fn is_action(&self) -> bool {
        self.kind == LaterKind::Action
    }

    pub(crate) fn refusal(&self) -> ArmError {
        let message = format!("The feature '{}' is not available yet.", self.feature);
        ArmError::new(StatusCode::BAD_REQUEST, "FeatureNotAvailable", message).about(self.collection)
    }
}
