//! Every operation of the management API, by everybody who may not, and by who just may. The operations come from the
//! declarations: a new one is tried here as soon as it is declared, and needs no case unless it has parameters, a body or
//! an exception of its own.

use kogge_arm::{Operation, operations};

use super::*;

/// Operations that answer everybody.
const OPEN: [&str; 1] = ["Metadata_ListEndpoints"];
/// Operations that answer whoever has logged in. They tell of the deployment itself, or only what their caller may read.
const OF_ANYBODY: [&str; 11] = [
    "Tenants_List",
    "Subscriptions_List",
    "Subscriptions_Get",
    "Subscriptions_ListLocations",
    "Providers_ListAtTenantScope",
    "Providers_GetAtTenantScope",
    "Operations_List",
    "Providers_List",
    "Providers_Get",
    "Resources_List",
    "Resources_ListByResourceGroup",
];
/// What is answered to who may, but asks for what this version does not have, or what is built in.
const UNFIT: [&str; 2] = ["FeatureNotAvailable", "ResourceIsBuiltIn"];

const ROLE: &str = "0a1b2c3d-0000-4000-8000-000000000001";
const ASSIGNMENT: &str = "0a1b2c3d-0000-4000-8000-000000000002";
const EXACT: &str = "0a1b2c3d-0000-4000-8000-000000000003";
const ALL_BUT: &str = "0a1b2c3d-0000-4000-8000-000000000004";

/// One resource of each kind for operations to be tried on, and another registry beside it.
struct Target {
    world: World,
    /// Whom the assignment is for that operations are tried on.
    somebody: ResourceId,
}

impl Target {
    async fn start() -> Self {
        let world = World::start().await;
        let (_, somebody) = world.user("somebody").await;
        let target = Self { world, somebody };
        for name in [
            "ResourceGroups_CreateOrUpdate",
            "Registries_CreateOrUpdate",
            "ScopeMaps_CreateOrUpdate",
            "Tokens_CreateOrUpdate",
            "RoleDefinitions_CreateOrUpdate",
            "RoleAssignments_CreateOrUpdate",
        ] {
            let operation = operations().iter().find(|operation| operation.name() == name).expect(name);
            target.world.put(&target.path(operation, &target.registry()), target.body(name)).await;
        }
        let elsewhere = target.world.group("elsewhere");
        target.world.put(&elsewhere, json!({ "location": "home" })).await;
        let sibling = format!("{elsewhere}/providers/Microsoft.ContainerRegistry/registries/sibling");
        target.world.put(&sibling, target.body("Registries_CreateOrUpdate")).await;
        target
    }

    fn registry(&self) -> String {
        format!("{}/providers/Microsoft.ContainerRegistry/registries/myreg", self.world.group("team"))
    }

    fn scope_map(&self) -> String {
        format!("{}/scopeMaps/pulls", self.registry())
    }

    /// The operation's path, at `scope` if it has one at every scope.
    fn path(&self, operation: &Operation, scope: &str) -> String {
        let template = operation.path();
        let segment = |segment: &str| match segment {
            "{scope}" => scope.trim_matches('/').to_owned(),
            "{subscriptionId}" => self.world.subscription().rsplit('/').next().expect("an id").to_owned(),
            "{resourceGroupName}" => "team".to_owned(),
            "{registryName}" => "myreg".to_owned(),
            "{scopeMapName}" => "pulls".to_owned(),
            "{tokenName}" => "robot".to_owned(),
            "{replicationName}" => "home".to_owned(),
            "{roleDefinitionId}" => ROLE.to_owned(),
            "{roleAssignmentName}" => ASSIGNMENT.to_owned(),
            "{resourceProviderNamespace}" => "Microsoft.ContainerRegistry".to_owned(),
            "{name}" => "later".to_owned(),
            word => {
                assert!(!word.starts_with('{'), "{template}: say here what {word} is");
                word.to_owned()
            }
        };
        let path: Vec<_> = template.split('/').map(segment).filter(|segment| !segment.is_empty()).collect();
        format!("/{}", path.join("/"))
    }

    /// A body that the operation takes.
    fn body(&self, operation: &str) -> Value {
        match operation {
            "ResourceGroups_CreateOrUpdate" => json!({ "location": "home" }),
            "Registries_CreateOrUpdate" => {
                json!({ "location": "home", "sku": { "name": "Premium" }, "properties": { "adminUserEnabled": true } })
            }
            "Registries_CheckNameAvailability" => {
                json!({ "name": "another", "type": "Microsoft.ContainerRegistry/registries" })
            }
            "Registries_RegenerateCredential" => json!({ "name": "password" }),
            "Registries_GenerateCredentials" => json!({ "tokenId": format!("{}/tokens/robot", self.registry()) }),
            "ScopeMaps_CreateOrUpdate" => json!({ "properties": { "actions": ["repositories/*/content/read"] } }),
            "Tokens_CreateOrUpdate" => json!({ "properties": { "scopeMapId": self.scope_map() } }),
            "Replications_CreateOrUpdate" => json!({ "location": "home" }),
            "RoleDefinitions_CreateOrUpdate" => {
                definition("puller", &self.registry(), &["Microsoft.ContainerRegistry/registries/pull/read"], &[])
            }
            "RoleAssignments_CreateOrUpdate" => json!({ "properties": {
                "roleDefinitionId": self.world.role("AcrPull"), "principalId": self.somebody,
            } }),
            _ => json!({}),
        }
    }

    async fn try_as(&self, client: &Client, operation: &Operation, path: &str) -> Reply {
        let body = match *operation.method() {
            Method::GET | Method::HEAD | Method::DELETE => Value::Null,
            _ => self.body(operation.name()),
        };
        ask(client, operation.method().clone(), path, body).await
    }

    /// Everything that can be asked for, at each kind of scope. What destroys comes last, the innermost first.
    fn everything(&self) -> Vec<(&'static Operation, String)> {
        let scopes = [self.registry(), self.world.group("team"), self.world.subscription(), "/".to_owned()];
        let paths = |operation: &'static Operation| {
            let scopes = if operation.path().starts_with("/{scope}") { &scopes[..] } else { &scopes[..1] };
            scopes.iter().map(|scope| (operation, self.path(operation, scope))).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = operations().iter().flat_map(paths).collect();
        all.sort_by_key(|(operation, path)| (*operation.method() == Method::DELETE, usize::MAX - path.len()));
        all
    }

    /// A user's way into the management API, and its id.
    async fn caller(&self, name: &str) -> (Client, ResourceId) {
        let (_, id) = self.world.user(name).await;
        (management(&self.world.registry, name, PASSWORD).await, id)
    }

    /// Makes the role `id`, or makes it anew.
    async fn define(&self, id: &str, actions: &[&str], not_actions: &[&str]) -> String {
        let path = format!("/providers/Microsoft.Authorization/roleDefinitions/{id}");
        self.world.put(&path, definition(id, "/", actions, not_actions)).await;
        format!("{}{path}", self.world.subscription())
    }
}

fn definition(name: &str, scope: &str, actions: &[&str], not_actions: &[&str]) -> Value {
    json!({ "properties": {
        "roleName": name,
        "assignableScopes": [scope],
        "permissions": [{ "actions": actions, "notActions": not_actions }],
    } })
}

fn code(reply: &Reply) -> String {
    reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

/// The right that `reply` says is missing, and where: `AuthorizationFailed` tells both.
fn missing(reply: &Reply) -> (String, String) {
    let message = reply.json()["error"]["message"].as_str().expect("a message").to_owned();
    let after = |word: &str| {
        let (_, rest) = message.split_once(word).unwrap_or_else(|| panic!("{word} in {message}"));
        rest.split('\'').next().expect("a part").to_owned()
    };
    (after("action '"), after("over scope '"))
}

fn is_empty_list(reply: &Reply) -> bool {
    reply.status == 200 && reply.json()["value"] == json!([])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_right_is_refused_by_every_operation() {
    let target = Target::start().await;
    let registry = &target.world.registry;
    let (nobody, _) = target.caller("nobody").await;
    // All rights, but in another group, which has a registry of its own.
    let (outsider, id) = target.caller("outsider").await;
    let owner = target.world.role("Owner");
    target.world.assign(&owner, id, &target.world.group("elsewhere"), None).await;
    let authority = format!("Bearer authorization_uri=\"http://{}/adfs\"", registry.addr());
    let (mut open, mut of_anybody) = (Vec::new(), Vec::new());
    for (operation, path) in target.everything() {
        let what = format!("{} {} {path}", operation.name(), operation.method());
        let reply = target.try_as(&registry.anonymous(), operation, &path).await;
        if !operation.needs_login() {
            assert_eq!(reply.status, 200, "{what}");
            open.push(operation.name());
            continue;
        }
        let has_body = *operation.method() != Method::HEAD;
        for (client, expected) in [
            (registry.anonymous(), "AuthenticationFailed"),
            (registry.anonymous().with_bearer("a.b.c"), "InvalidAuthenticationToken"),
        ] {
            let reply = target.try_as(&client, operation, &path).await.expect_status(401);
            assert_eq!(reply.header("www-authenticate").as_deref(), Some(authority.as_str()), "{what}");
            assert!(!has_body || code(&reply) == expected, "{what}: {}", reply.text());
        }
        let Some(action) = operation.action() else {
            target.try_as(&nobody, operation, &path).await.expect_status(200);
            of_anybody.push(operation.name());
            continue;
        };
        if operation.lists_across() {
            let reply = target.try_as(&nobody, operation, &path).await;
            assert!(is_empty_list(&reply), "{what}: {}", reply.text());
            let reply = target.try_as(&outsider, operation, &path).await.expect_status(200);
            assert!(!reply.text().contains("myreg") && !reply.text().contains("team"), "{what}: {}", reply.text());
            continue;
        }
        for client in [&nobody, &outsider] {
            let reply = target.try_as(client, operation, &path).await.expect_status(403);
            if has_body {
                assert_eq!(
                    (code(&reply).as_str(), missing(&reply).0.as_str()),
                    ("AuthorizationFailed", action),
                    "{what}"
                );
            }
        }
    }
    assert_eq!(open, OPEN, "operations that answer everybody");
    of_anybody.sort_unstable();
    let mut expected = OF_ANYBODY;
    expected.sort_unstable();
    assert_eq!(of_anybody, expected, "operations that answer whoever has logged in");
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_declared_right_is_what_each_operation_takes() {
    let target = Target::start().await;
    let (exact, exact_id) = target.caller("exact").await;
    let (all_but, all_but_id) = target.caller("allbut").await;
    let role = target.define(ALL_BUT, &["*"], &[]).await;
    target.world.assign(&role, all_but_id, "", None).await;
    for (operation, path) in target.everything() {
        let Some(action) = operation.action() else { continue };
        let what = format!("{} {} {path}", operation.name(), operation.method());
        target.define(ALL_BUT, &["*"], &[action]).await;
        let refused = target.try_as(&all_but, operation, &path).await;
        let scope = if operation.lists_across() {
            assert!(is_empty_list(&refused), "{what}: {}", refused.text());
            target.world.subscription()
        } else if *operation.method() == Method::HEAD {
            refused.expect_status(403);
            path.clone()
        } else {
            let refused = refused.expect_status(403);
            assert_eq!((code(&refused), missing(&refused).0), ("AuthorizationFailed".into(), action.into()), "{what}");
            missing(&refused).1
        };
        // Rights are not given on roles and assignments, but on what these are about, nor on what is built in.
        let scope = scope.split("/providers/Microsoft.Authorization").next().unwrap_or_default();
        let scope = scope.trim_end_matches("/replications/home").trim_end_matches('/');
        let role = target.define(EXACT, &[action], &[]).await;
        let assignment = target.world.assign(&role, exact_id, scope, None).await;
        let reply = target.try_as(&exact, operation, &path).await;
        assert!(![401, 403].contains(&reply.status.as_u16()), "{what}: {}", reply.text());
        let of_registry = path.contains("/myreg") || !operation.path().starts_with("/{scope}");
        if of_registry && !reply.status.is_success() {
            assert!(UNFIT.contains(&code(&reply).as_str()), "{what}: {} {}", reply.status, reply.text());
        }
        assert!(!operation.lists_across() || !is_empty_list(&reply), "{what}: {}", reply.text());
        let taken_back = target.world.ask(Method::DELETE, &assignment, Value::Null).await;
        assert!(taken_back.status.is_success(), "{what}: {}", taken_back.text());
    }
}
