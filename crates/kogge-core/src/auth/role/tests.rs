use std::collections::HashSet;

use kogge_types::Action;
use kogge_types::access::Actions;

use super::*;

const READ: [Action; 3] = [Action::Pull, Action::MetadataRead, Action::Catalog];
const ALL: [Action; 6] =
    [Action::Pull, Action::Push, Action::Delete, Action::MetadataRead, Action::MetadataWrite, Action::Catalog];

fn role(name: &str) -> &'static RoleDefinition {
    built_in_by_name(name).expect(name)
}

fn patterns(actions: &[&str]) -> Vec<ActionPattern> {
    actions.iter().map(|action| action.parse().expect(action)).collect()
}

fn custom(permissions: Vec<Permission>) -> RoleDefinition {
    RoleDefinition {
        id: ResourceId::from_bytes([1; 16]),
        name: "custom".to_owned(),
        description: String::new(),
        built_in: false,
        permissions,
        assignable_scopes: vec!["/".to_owned()],
    }
}

#[test]
fn built_in_roles_give_on_the_data_plane_what_azures_do() {
    use Action::{Catalog, Delete, MetadataRead, MetadataWrite, Pull, Push};
    let table: [(&str, &[Action], &[Action]); 20] = [
        ("Owner", &ALL, &[]),
        ("Contributor", &ALL, &[]),
        ("Reader", &READ, &[]),
        ("User Access Administrator", &READ, &[]),
        ("Role Based Access Control Administrator", &READ, &[]),
        ("AcrPull", &READ, &[]),
        ("AcrPush", &[Pull, Push, MetadataRead, Catalog], &[]),
        ("AcrDelete", &[Delete], &[]),
        ("AcrImageSigner", &[], &[]),
        ("AcrQuarantineReader", &[], &[]),
        ("AcrQuarantineWriter", &[], &[]),
        ("Container Registry Repository Reader", &[], &[Pull, MetadataRead]),
        ("Container Registry Repository Writer", &[], &[Pull, Push, MetadataRead, MetadataWrite]),
        ("Container Registry Repository Contributor", &[], &[Pull, Push, Delete, MetadataRead, MetadataWrite]),
        ("Container Registry Repository Catalog Lister", &[], &[Catalog]),
        ("Container Registry Contributor and Data Access Configuration Administrator", &[], &[]),
        ("Container Registry Configuration Reader and Data Access Configuration Reader", &[], &[]),
        ("Container Registry Tasks Contributor", &[], &[]),
        ("Container Registry Transfer Pipeline Contributor", &[], &[]),
        ("Container Registry Data Importer and Data Reader", &READ, &READ),
    ];
    assert_eq!(table.len(), built_in().len());
    for (name, legacy, abac) in table {
        let of = |actions: &[Action]| actions.iter().copied().collect::<Actions>();
        assert_eq!(role(name).data_plane(RoleMode::LegacyRegistryPermissions), of(legacy), "{name}");
        assert_eq!(role(name).data_plane(RoleMode::AbacRepositoryPermissions), of(abac), "{name}");
    }
}

#[test]
fn built_in_roles_allow_on_the_management_plane_what_azures_do() {
    let registry = "Microsoft.ContainerRegistry/registries";
    for (name, action, expected) in [
        ("Owner", "Microsoft.Authorization/roleAssignments/write", true),
        ("Contributor", &format!("{registry}/write"), true),
        ("Contributor", &format!("{registry}/listCredentials/action"), true),
        ("Contributor", "Microsoft.Authorization/roleAssignments/write", false),
        ("Contributor", "microsoft.authorization/roleassignments/DELETE", false),
        ("Contributor", "Microsoft.Authorization/roleAssignments/read", true),
        ("Reader", &format!("{registry}/tokens/read"), true),
        ("Reader", &format!("{registry}/listCredentials/action"), false),
        ("User Access Administrator", "Microsoft.Authorization/roleDefinitions/write", true),
        ("User Access Administrator", &format!("{registry}/write"), false),
        ("Role Based Access Control Administrator", "Microsoft.Authorization/roleAssignments/delete", true),
        ("Role Based Access Control Administrator", "Microsoft.Authorization/roleDefinitions/write", false),
        ("AcrPull", &format!("{registry}/read"), false),
        ("AcrPull", &format!("{registry}/pull/read"), true),
        ("Container Registry Repository Contributor", &format!("{registry}/repositories/content/read"), false),
        (
            "Container Registry Contributor and Data Access Configuration Administrator",
            &format!("{registry}/generateCredentials/action"),
            true,
        ),
        (
            "Container Registry Configuration Reader and Data Access Configuration Reader",
            &format!("{registry}/tokens/write"),
            false,
        ),
        ("Container Registry Data Importer and Data Reader", &format!("{registry}/importImage/action"), true),
    ] {
        assert_eq!(role(name).allows_management(action), expected, "{name} {action}");
    }
}

#[test]
fn built_in_roles_are_found_by_id_and_name() {
    let ids: HashSet<_> = built_in().iter().map(|role| role.id).collect();
    let names: HashSet<_> = built_in().iter().map(|role| role.name.to_ascii_lowercase()).collect();
    assert_eq!((ids.len(), names.len()), (built_in().len(), built_in().len()));
    for role in built_in() {
        assert_eq!(built_in_by_id(&role.id), Some(role));
        assert_eq!(built_in_by_name(&role.name.to_uppercase()), Some(role));
        assert!(role.built_in && role.assignable_scopes == ["/"]);
    }
    for (id, guid, name) in [
        (OWNER, "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner"),
        (CONTRIBUTOR, "b24988ac-6180-42a0-ab88-20f7382dd24c", "Contributor"),
        (READER, "acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader"),
        (ACR_PULL, "7f951dda-4ed3-4680-a7ca-43fe172d538d", "AcrPull"),
        (ACR_PUSH, "8311e382-0749-4cb8-b61a-304f252e45ec", "AcrPush"),
        (ACR_DELETE, "c2f4ef07-c644-48eb-af81-4b1b4947fb11", "AcrDelete"),
    ] {
        assert_eq!(id.to_string(), guid);
        assert_eq!(built_in_by_id(&id).map(|role| role.name.as_str()), Some(name));
    }
    assert_eq!(built_in_by_id(&ResourceId::from_bytes([0; 16])), None);
    assert_eq!(built_in_by_name("AcrEverything"), None);
}

#[test]
fn what_is_excepted_is_excepted_from_its_own_permission_only() {
    let most = Permission {
        data_actions: patterns(&["Microsoft.ContainerRegistry/registries/*"]),
        not_data_actions: patterns(&["*/delete", "Microsoft.ContainerRegistry/registries/catalog/*"]),
        ..Permission::default()
    };
    let of = |actions: &[Action]| actions.iter().copied().collect::<Actions>();
    let role = custom(vec![most.clone()]);
    let expected = of(&[Action::Pull, Action::Push, Action::MetadataRead, Action::MetadataWrite]);
    assert_eq!(role.data_plane(RoleMode::AbacRepositoryPermissions), expected);
    assert_eq!(role.data_plane(RoleMode::LegacyRegistryPermissions), Actions::NONE);
    let lister = Permission {
        data_actions: patterns(&["microsoft.containerregistry/registries/catalog/read"]),
        ..Permission::default()
    };
    let role = custom(vec![most, lister]);
    assert_eq!(role.data_plane(RoleMode::AbacRepositoryPermissions), expected.with(Action::Catalog));
    let reads = Permission {
        actions: patterns(&["Microsoft.ContainerRegistry/registries/metadata/read"]),
        ..Permission::default()
    };
    assert_eq!(custom(vec![reads]).data_plane(RoleMode::LegacyRegistryPermissions), of(&[Action::MetadataRead]));
    assert_eq!(custom(Vec::new()).data_plane(RoleMode::LegacyRegistryPermissions), Actions::NONE);
}

#[test]
fn the_operation_of_an_action_allows_it() {
    for mode in RoleMode::ALL {
        for action in ALL {
            let operation = patterns(&[action_of(action, mode)]);
            let permission = match mode {
                RoleMode::LegacyRegistryPermissions => Permission { actions: operation, ..Permission::default() },
                RoleMode::AbacRepositoryPermissions => Permission { data_actions: operation, ..Permission::default() },
            };
            assert!(custom(vec![permission]).data_plane(mode).contains(action), "{mode} {action:?}");
        }
        assert_eq!(mode.to_string().parse(), Ok(mode));
    }
    assert_eq!("Legacy".parse::<RoleMode>(), Err(RoleModeError));
    assert_eq!(RoleMode::default(), RoleMode::LegacyRegistryPermissions);
}
