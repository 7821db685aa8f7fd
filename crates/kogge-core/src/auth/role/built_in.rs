//! Azure's built-in roles that mean something to a registry, by their ids and with their permissions there (Azure:
//! "Azure built-in roles", general, privileged and containers).

use std::sync::LazyLock;

use kogge_types::ResourceId;

use crate::auth::role::{ActionPattern, Permission, RoleDefinition};

/// The id of Owner.
pub const OWNER: ResourceId = id(0x8e3af657_a8ff_443c_a75c_2fe8c4bcb635);
/// The id of Contributor.
pub const CONTRIBUTOR: ResourceId = id(0xb24988ac_6180_42a0_ab88_20f7382dd24c);
/// The id of Reader.
pub const READER: ResourceId = id(0xacdd72a7_3385_48ef_bd42_f606fba81ae7);
/// The id of AcrPull.
pub const ACR_PULL: ResourceId = id(0x7f951dda_4ed3_4680_a7ca_43fe172d538d);
/// The id of AcrPush.
pub const ACR_PUSH: ResourceId = id(0x8311e382_0749_4cb8_b61a_304f252e45ec);
/// The id of AcrDelete.
pub const ACR_DELETE: ResourceId = id(0xc2f4ef07_c644_48eb_af81_4b1b4947fb11);

/// A built-in role as it is written below. None leaves out any data action.
struct BuiltIn {
    id: ResourceId,
    name: &'static str,
    description: &'static str,
    actions: &'static [&'static str],
    not_actions: &'static [&'static str],
    data_actions: &'static [&'static str],
}

const fn id(id: u128) -> ResourceId {
    ResourceId::from_bytes(id.to_be_bytes())
}

/// Every built-in role.
pub fn built_in() -> &'static [RoleDefinition] {
    static ROLES: LazyLock<Vec<RoleDefinition>> = LazyLock::new(|| BUILT_IN.iter().map(definition).collect());
    &ROLES
}

pub fn built_in_by_id(id: &ResourceId) -> Option<&'static RoleDefinition> {
    built_in().iter().find(|role| role.id == *id)
}

/// The built-in role of this name, in whatever case.
pub fn built_in_by_name(name: &str) -> Option<&'static RoleDefinition> {
    built_in().iter().find(|role| role.name.eq_ignore_ascii_case(name))
}

fn definition(role: &BuiltIn) -> RoleDefinition {
    RoleDefinition {
        id: role.id,
        name: role.name.to_owned(),
        description: role.description.to_owned(),
        built_in: true,
        permissions: vec![Permission {
            actions: patterns(role.actions),
            not_actions: patterns(role.not_actions),
            data_actions: patterns(role.data_actions),
            not_data_actions: Vec::new(),
        }],
        assignable_scopes: vec!["/".to_owned()],
    }
}

fn patterns(actions: &[&str]) -> Vec<ActionPattern> {
    actions.iter().map(|action| action.parse().expect("the actions below are well formed")).collect()
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        id: OWNER,
        name: "Owner",
        description: "Manages everything, and who may manage it.",
        actions: &["*"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: CONTRIBUTOR,
        name: "Contributor",
        description: "Manages everything, but not who may manage it.",
        actions: &["*"],
        not_actions: &[
            "Microsoft.Authorization/*/Delete",
            "Microsoft.Authorization/*/Write",
            "Microsoft.Authorization/elevateAccess/Action",
            "Microsoft.Blueprint/blueprintAssignments/write",
            "Microsoft.Blueprint/blueprintAssignments/delete",
            "Microsoft.Compute/galleries/share/action",
            "Microsoft.Purview/consents/write",
            "Microsoft.Purview/consents/delete",
            "Microsoft.Resources/deploymentStacks/manageDenySetting/action",
            "Microsoft.Subscription/cancel/action",
            "Microsoft.Subscription/enable/action",
        ],
        data_actions: &[],
    },
    BuiltIn {
        id: READER,
        name: "Reader",
        description: "Sees everything and changes nothing.",
        actions: &["*/read"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: id(0x18d7d88d_d35e_4fb5_a5c3_7773c20a72d9),
        name: "User Access Administrator",
        description: "Manages who may do what, and sees everything.",
        actions: &["*/read", "Microsoft.Authorization/*", "Microsoft.Support/*"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: id(0xf58310d9_a9f6_439a_9e8d_f62e7b41a168),
        name: "Role Based Access Control Administrator",
        description: "Assigns roles, and sees everything.",
        actions: &[
            "Microsoft.Authorization/roleAssignments/write",
            "Microsoft.Authorization/roleAssignments/delete",
            "*/read",
            "Microsoft.Support/*",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: ACR_PULL,
        name: "AcrPull",
        description: "Pulls from a registry.",
        actions: &["Microsoft.ContainerRegistry/registries/pull/read"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: ACR_PUSH,
        name: "AcrPush",
        description: "Pulls from a registry and pushes to it.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/pull/read",
            "Microsoft.ContainerRegistry/registries/push/write",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: ACR_DELETE,
        name: "AcrDelete",
        description: "Deletes repositories, manifests and tags.",
        actions: &["Microsoft.ContainerRegistry/registries/artifacts/delete"],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: id(0x6cef56e8_d556_48e5_a04f_b8e64114680f),
        name: "AcrImageSigner",
        description: "Writes the content-trust data of a registry.",
        actions: &["Microsoft.ContainerRegistry/registries/sign/write"],
        not_actions: &[],
        data_actions: &["Microsoft.ContainerRegistry/registries/trustedCollections/write"],
    },
    BuiltIn {
        id: id(0xcdda3590_29a3_44f6_95f2_9f980659eb04),
        name: "AcrQuarantineReader",
        description: "Pulls what is in quarantine.",
        actions: &["Microsoft.ContainerRegistry/registries/quarantine/read"],
        not_actions: &[],
        data_actions: &["Microsoft.ContainerRegistry/registries/quarantinedArtifacts/read"],
    },
    BuiltIn {
        id: id(0xc8d4ff99_41c3_41a8_9f60_21dfdad59608),
        name: "AcrQuarantineWriter",
        description: "Pulls what is in quarantine, and decides on it.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/quarantine/read",
            "Microsoft.ContainerRegistry/registries/quarantine/write",
        ],
        not_actions: &[],
        data_actions: &[
            "Microsoft.ContainerRegistry/registries/quarantinedArtifacts/read",
            "Microsoft.ContainerRegistry/registries/quarantinedArtifacts/write",
        ],
    },
    BuiltIn {
        id: id(0xb93aa761_3e63_49ed_ac28_beffa264f7ac),
        name: "Container Registry Repository Reader",
        description: "Pulls from repositories and reads their metadata; does not list the catalog.",
        actions: &[],
        not_actions: &[],
        data_actions: &[
            "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
            "Microsoft.ContainerRegistry/registries/repositories/content/read",
        ],
    },
    BuiltIn {
        id: id(0x2a1e307c_b015_4ebd_883e_5b7698a07328),
        name: "Container Registry Repository Writer",
        description: "Pulls from repositories, pushes to them, and writes their metadata; does not list the catalog.",
        actions: &[],
        not_actions: &[],
        data_actions: &[
            "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
            "Microsoft.ContainerRegistry/registries/repositories/content/read",
            "Microsoft.ContainerRegistry/registries/repositories/metadata/write",
            "Microsoft.ContainerRegistry/registries/repositories/content/write",
        ],
    },
    BuiltIn {
        id: id(0x2efddaa5_3f1f_4df3_97df_af3f13818f4c),
        name: "Container Registry Repository Contributor",
        description: "Pulls, pushes and deletes in repositories and writes their metadata; does not list the catalog.",
        actions: &[],
        not_actions: &[],
        data_actions: &[
            "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
            "Microsoft.ContainerRegistry/registries/repositories/content/read",
            "Microsoft.ContainerRegistry/registries/repositories/metadata/write",
            "Microsoft.ContainerRegistry/registries/repositories/content/write",
            "Microsoft.ContainerRegistry/registries/repositories/metadata/delete",
            "Microsoft.ContainerRegistry/registries/repositories/content/delete",
        ],
    },
    BuiltIn {
        id: id(0xbfdb9389_c9a5_478a_bb2f_ba9ca092c3c7),
        name: "Container Registry Repository Catalog Lister",
        description: "Lists all repositories of a registry.",
        actions: &[],
        not_actions: &[],
        data_actions: &["Microsoft.ContainerRegistry/registries/catalog/read"],
    },
    BuiltIn {
        id: id(0x3bc748fc_213d_45c1_8d91_9da5725539b9),
        name: "Container Registry Contributor and Data Access Configuration Administrator",
        description: "Manages registries and the ways to reach them: tokens, scope maps, networks, webhooks.",
        actions: &[
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.ContainerRegistry/registries/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/read",
            "Microsoft.ContainerRegistry/registries/write",
            "Microsoft.ContainerRegistry/registries/delete",
            "Microsoft.ContainerRegistry/registries/listCredentials/action",
            "Microsoft.ContainerRegistry/registries/regenerateCredential/action",
            "Microsoft.ContainerRegistry/registries/generateCredentials/action",
            "Microsoft.ContainerRegistry/registries/replications/read",
            "Microsoft.ContainerRegistry/registries/replications/write",
            "Microsoft.ContainerRegistry/registries/replications/delete",
            "Microsoft.ContainerRegistry/registries/replications/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/privateEndpointConnectionsApproval/action",
            "Microsoft.ContainerRegistry/registries/privateEndpointConnections/read",
            "Microsoft.ContainerRegistry/registries/privateEndpointConnections/write",
            "Microsoft.ContainerRegistry/registries/privateEndpointConnections/delete",
            "Microsoft.ContainerRegistry/registries/privateEndpointConnections/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/tokens/read",
            "Microsoft.ContainerRegistry/registries/tokens/write",
            "Microsoft.ContainerRegistry/registries/tokens/delete",
            "Microsoft.ContainerRegistry/registries/tokens/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/scopeMaps/read",
            "Microsoft.ContainerRegistry/registries/scopeMaps/write",
            "Microsoft.ContainerRegistry/registries/scopeMaps/delete",
            "Microsoft.ContainerRegistry/registries/scopeMaps/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/diagnosticSettings/read",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/diagnosticSettings/write",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/logDefinitions/read",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/metricDefinitions/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Authorization/*/read",
            "Microsoft.ContainerRegistry/registries/connectedRegistries/read",
            "Microsoft.ContainerRegistry/registries/connectedRegistries/write",
            "Microsoft.ContainerRegistry/registries/connectedRegistries/delete",
            "Microsoft.ContainerRegistry/registries/connectedRegistries/deactivate/action",
            "Microsoft.ContainerRegistry/registries/webhooks/read",
            "Microsoft.ContainerRegistry/registries/webhooks/write",
            "Microsoft.ContainerRegistry/registries/webhooks/delete",
            "Microsoft.ContainerRegistry/registries/webhooks/getCallbackConfig/action",
            "Microsoft.ContainerRegistry/registries/webhooks/ping/action",
            "Microsoft.ContainerRegistry/registries/webhooks/listEvents/action",
            "Microsoft.ContainerRegistry/registries/webhooks/operationStatuses/read",
            "Microsoft.Insights/AlertRules/Write",
            "Microsoft.Insights/AlertRules/Delete",
            "Microsoft.Insights/AlertRules/Read",
            "Microsoft.Insights/AlertRules/Activated/Action",
            "Microsoft.Insights/AlertRules/Resolved/Action",
            "Microsoft.Insights/AlertRules/Throttled/Action",
            "Microsoft.Insights/AlertRules/Incidents/Read",
            "Microsoft.ContainerRegistry/locations/operationResults/read",
            "Microsoft.Network/virtualNetworks/subnets/joinViaServiceEndpoint/action",
            "Microsoft.Network/virtualNetworks/subnets/read",
            "Microsoft.Network/virtualNetworks/subnets/write",
            "Microsoft.Network/virtualNetworks/read",
            "Microsoft.Network/privateEndpoints/privateLinkServiceProxies/write",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: id(0x69b07be0_09bf_439a_b9a6_e73de851bd59),
        name: "Container Registry Configuration Reader and Data Access Configuration Reader",
        description: "Sees registries and how they are reached: admin users' passwords, tokens, scope maps, webhooks.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/read",
            "Microsoft.ContainerRegistry/registries/privateEndpointConnections/read",
            "Microsoft.ContainerRegistry/registries/privateEndpointConnections/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/listCredentials/action",
            "Microsoft.ContainerRegistry/registries/tokens/read",
            "Microsoft.ContainerRegistry/registries/tokens/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/scopeMaps/read",
            "Microsoft.ContainerRegistry/registries/scopeMaps/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/webhooks/read",
            "Microsoft.ContainerRegistry/registries/webhooks/getCallbackConfig/action",
            "Microsoft.ContainerRegistry/registries/webhooks/listEvents/action",
            "Microsoft.ContainerRegistry/registries/webhooks/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/replications/read",
            "Microsoft.ContainerRegistry/registries/replications/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/connectedRegistries/read",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/diagnosticSettings/read",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/diagnosticSettings/write",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/logDefinitions/read",
            "Microsoft.ContainerRegistry/registries/providers/Microsoft.Insights/metricDefinitions/read",
            "Microsoft.Insights/AlertRules/Write",
            "Microsoft.Insights/AlertRules/Delete",
            "Microsoft.Insights/AlertRules/Read",
            "Microsoft.Insights/AlertRules/Activated/Action",
            "Microsoft.Insights/AlertRules/Resolved/Action",
            "Microsoft.Insights/AlertRules/Throttled/Action",
            "Microsoft.Insights/AlertRules/Incidents/Read",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: id(0xfb382eab_e894_4461_af04_94435c366c3f),
        name: "Container Registry Tasks Contributor",
        description: "Manages and runs a registry's tasks, which may reach all of its content.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/agentpools/read",
            "Microsoft.ContainerRegistry/registries/agentpools/write",
            "Microsoft.ContainerRegistry/registries/agentpools/delete",
            "Microsoft.ContainerRegistry/registries/agentpools/listQueueStatus/action",
            "Microsoft.ContainerRegistry/registries/agentpools/operationResults/status/read",
            "Microsoft.ContainerRegistry/registries/agentpools/operationStatuses/read",
            "Microsoft.ContainerRegistry/registries/tasks/read",
            "Microsoft.ContainerRegistry/registries/tasks/write",
            "Microsoft.ContainerRegistry/registries/tasks/delete",
            "Microsoft.ContainerRegistry/registries/tasks/listDetails/action",
            "Microsoft.ContainerRegistry/registries/scheduleRun/action",
            "Microsoft.ContainerRegistry/registries/listBuildSourceUploadUrl/action",
            "Microsoft.ContainerRegistry/registries/runs/read",
            "Microsoft.ContainerRegistry/registries/runs/write",
            "Microsoft.ContainerRegistry/registries/runs/listLogSasUrl/action",
            "Microsoft.ContainerRegistry/registries/runs/cancel/action",
            "Microsoft.ContainerRegistry/registries/taskruns/read",
            "Microsoft.ContainerRegistry/registries/taskruns/write",
            "Microsoft.ContainerRegistry/registries/taskruns/delete",
            "Microsoft.ContainerRegistry/registries/taskruns/listDetails/action",
            "Microsoft.ContainerRegistry/registries/taskruns/operationStatuses/read",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.ContainerRegistry/registries/read",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: id(0xbf94e731_3a51_4a7c_8c54_a1ab9971dfc1),
        name: "Container Registry Transfer Pipeline Contributor",
        description: "Manages and runs the pipelines that import and export content.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/exportPipelines/read",
            "Microsoft.ContainerRegistry/registries/exportPipelines/write",
            "Microsoft.ContainerRegistry/registries/exportPipelines/delete",
            "Microsoft.ContainerRegistry/registries/importPipelines/read",
            "Microsoft.ContainerRegistry/registries/importPipelines/write",
            "Microsoft.ContainerRegistry/registries/importPipelines/delete",
            "Microsoft.ContainerRegistry/registries/pipelineRuns/read",
            "Microsoft.ContainerRegistry/registries/pipelineRuns/write",
            "Microsoft.ContainerRegistry/registries/pipelineRuns/delete",
            "Microsoft.ContainerRegistry/registries/pipelineRuns/operationStatuses/read",
        ],
        not_actions: &[],
        data_actions: &[],
    },
    BuiltIn {
        id: id(0x577a9874_89fd_4f24_9dbd_b5034d0ad23a),
        name: "Container Registry Data Importer and Data Reader",
        description: "Imports into a registry, pulls from it and lists it.",
        actions: &[
            "Microsoft.ContainerRegistry/registries/importImage/action",
            "Microsoft.ContainerRegistry/registries/read",
            "Microsoft.ContainerRegistry/registries/pull/read",
        ],
        not_actions: &[],
        data_actions: &[
            "Microsoft.ContainerRegistry/registries/repositories/content/read",
            "Microsoft.ContainerRegistry/registries/repositories/metadata/read",
            "Microsoft.ContainerRegistry/registries/catalog/read",
        ],
    },
];
