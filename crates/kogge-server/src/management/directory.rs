//! Who is who: the little of Microsoft Graph's API, version 1.0, that clients ask when they give roles by name and show
//! who has them (`az role assignment`, `kogge role`).

use http::request::Parts;
use http::{Method, StatusCode};
use kogge_arm::{ArmError, Reply};
use kogge_core::audit::DenialReason;
use kogge_core::auth::Caller;
use kogge_core::identity::principal::PrincipalStory;
use kogge_meta::PrincipalKind;
use kogge_types::{Code, ResourceId, limits};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Upload;
use crate::served::Answered;

/// Where the API lies on its host.
const PATH: &str = "/v1.0/";
/// Ids that one request may ask for (Graph's limit).
const IDS_MAX: usize = 1_000;
/// The right to see names: that of seeing who has which role.
const RIGHT: &str = "Microsoft.Authorization/roleAssignments/read";

const USERS: &[PrincipalKind] = &[PrincipalKind::User];
const GROUPS: &[PrincipalKind] = &[PrincipalKind::Group];
const PROGRAMS: &[PrincipalKind] = &[PrincipalKind::ServicePrincipal, PrincipalKind::ManagedIdentity];
const EVERYBODY: &[PrincipalKind] =
    &[PrincipalKind::User, PrincipalKind::Group, PrincipalKind::ServicePrincipal, PrincipalKind::ManagedIdentity];

/// Whether a request is for the directory.
pub(super) fn is_asked(parts: &Parts) -> bool {
    parts.uri.path().starts_with(PATH)
}

/// Answers a request for the directory.
pub(super) async fn respond(
    app: &App,
    parts: &Parts,
    caller: &Caller,
    upload: &mut Upload,
    answered: &mut Answered,
) -> Reply {
    if caller.is_anonymous() {
        answered.refused = Some((DenialReason::Authentication, "no token"));
        let message = "Access token is empty.";
        return ArmError::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message).into();
    }
    if app.core.authorize_management(caller, RIGHT, &app.core.deployment().path()).is_err() {
        answered.refused = Some((DenialReason::Policy, "no role of the caller lets it see who has roles"));
        let message = "Insufficient privileges to complete the operation.";
        return ArmError::new(StatusCode::FORBIDDEN, "Authorization_RequestDenied", message).into();
    }
    answer(app, parts, upload).await.map_or_else(Reply::from, Reply::ok)
}

async fn answer(app: &App, parts: &Parts, upload: &mut Upload) -> Result<Value, ArmError> {
    let asked = parts.uri.path().strip_prefix(PATH).unwrap_or_default();
    if parts.method == Method::POST && asked == "directoryObjects/getByIds" {
        let body = upload.collect(limits::MANAGEMENT_BODY_BYTES_MAX, Code::FormTooLarge).await?;
        let ids = ids(&body)?;
        let objects = found(app, EVERYBODY, |story| ids.contains(&story.object_id)).await?;
        return Ok(json!({ "value": objects }));
    }
    let unknown = || {
        let message = format!("Resource '{asked}' does not exist or cannot be asked for here.");
        ArmError::not_found("Request_ResourceNotFound", message)
    };
    let (segment, id) = asked.split_once('/').unwrap_or((asked, ""));
    let kinds = match segment {
        "users" => USERS,
        "groups" => GROUPS,
        "servicePrincipals" => PROGRAMS,
        _ => return Err(unknown()),
    };
    if parts.method != Method::GET {
        return Err(unknown());
    }
    if !id.is_empty() {
        let id: ResourceId = id.parse().map_err(|_| unknown())?;
        return found(app, kinds, |story| story.object_id == id).await?.pop().ok_or_else(unknown);
    }
    let filter = Filter::read(parts.uri.query().unwrap_or_default())?;
    let objects = found(app, kinds, |story| filter.fits(story)).await?;
    Ok(json!({ "value": objects }))
}

/// The ids of a request for many objects. What is no id is nobody's.
fn ids(body: &[u8]) -> Result<Vec<ResourceId>, ArmError> {
    let bad = || ArmError::bad("Request_BadRequest", format!("The body holds at most {IDS_MAX} ids."));
    let body: Value = serde_json::from_slice(body).map_err(|_| bad())?;
    let ids = body["ids"].as_array().filter(|ids| ids.len() <= IDS_MAX).ok_or_else(bad)?;
    Ok(ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect())
}

async fn found(
    app: &App,
    kinds: &'static [PrincipalKind],
    fits: impl Fn(&PrincipalStory) -> bool,
) -> Result<Vec<Value>, ArmError> {
    let stories = app.core.principals(kinds).await?;
    Ok(stories.iter().filter(|story| fits(story)).map(object).collect())
}

/// A principal as Graph describes one.
fn object(story: &PrincipalStory) -> Value {
    let PrincipalStory { object_id, app_id, kind, display_name, enabled, .. } = story;
    match (*kind == PrincipalKind::User.as_str(), *kind == PrincipalKind::Group.as_str()) {
        (true, _) => json!({
            "@odata.type": "#microsoft.graph.user",
            "id": object_id,
            "displayName": display_name,
            "userPrincipalName": display_name,
            "accountEnabled": enabled,
        }),
        (_, true) => {
            json!({ "@odata.type": "#microsoft.graph.group", "id": object_id, "displayName": display_name })
        }
        _ => json!({
            "@odata.type": "#microsoft.graph.servicePrincipal",
            "id": object_id,
            "appId": app_id,
            "displayName": display_name,
            "servicePrincipalNames": [app_id],
            "accountEnabled": enabled,
        }),
    }
}

/// Which field must be which text: `displayName eq 'jo'`, or `servicePrincipalNames/any(c:c eq 'jo')`.
#[derive(Debug, PartialEq, Eq)]
struct Filter {
    field: Field,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    AppId,
    /// A display name or a user's principal name, which are the same here.
    Name,
    /// A service principal's application id or name.
    ProgramName,
}

impl Filter {
    fn read(query: &str) -> Result<Self, ArmError> {
        let filter = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name.eq_ignore_ascii_case("$filter"));
        let filter = filter.map(|(_, filter)| filter.into_owned()).unwrap_or_default();
        Self::parse(&filter).ok_or_else(|| {
            let message = format!("Unsupported or missing $filter '{filter}': write displayName eq 'name'.");
            ArmError::bad("Request_UnsupportedQuery", message)
        })
    }

    fn parse(filter: &str) -> Option<Self> {
        let (left, right) = filter.trim().split_once(" eq ")?;
        let (left, right) = (left.trim(), right.trim());
        let (field, quoted) = match left.strip_prefix("servicePrincipalNames/any(") {
            Some(variable) => {
                let (declared, used) = variable.split_once(':')?;
                (declared.trim() == used.trim()).then_some(())?;
                (Field::ProgramName, right.strip_suffix(')')?.trim())
            }
            None => {
                let field = match left {
                    "id" => Field::Id,
                    "appId" => Field::AppId,
                    "displayName" | "userPrincipalName" => Field::Name,
                    _ => return None,
                };
                (field, right)
            }
        };
        let text = quoted.strip_prefix('\'')?.strip_suffix('\'')?;
        // A quotation mark within is written twice.
        let plain = text.replace("''", "");
        (!plain.contains('\'')).then(|| Self { field, text: text.replace("''", "'") })
    }

    fn fits(&self, story: &PrincipalStory) -> bool {
        let id = self.text.parse::<ResourceId>().ok();
        let is_app = id.is_some() && story.app_id == id;
        let is_name = story.display_name.eq_ignore_ascii_case(&self.text);
        match self.field {
            Field::Id => id == Some(story.object_id),
            Field::AppId => is_app,
            Field::Name => is_name,
            Field::ProgramName => is_app || is_name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_clients_write_them() {
        let check = |text: &str, field: Field, value: &str| {
            assert_eq!(Filter::parse(text), Some(Filter { field, text: value.to_owned() }), "{text}");
        };
        check("displayName eq 'jo'", Field::Name, "jo");
        check("userPrincipalName eq 'it''s@x'", Field::Name, "it's@x");
        check("servicePrincipalNames/any(c:c eq 'robot')", Field::ProgramName, "robot");
        check(" appId eq '1 eq 2' ", Field::AppId, "1 eq 2");
        check("id eq ''", Field::Id, "");
        for bad in [
            "",
            "displayName",
            "displayName eq jo",
            "displayName eq 'a' or displayName eq 'b'",
            "password eq 'x'",
            "servicePrincipalNames/any(c:d eq 'x')",
            "servicePrincipalNames/any(c:c eq 'x'",
            "displayName eq '",
        ] {
            assert_eq!(Filter::parse(bad), None, "{bad}");
        }
    }
}
