//! Who a caller is.

use kogge_types::digest::{hex, unhex};
use kogge_types::{RegistryId, ResourceId};

/// Who a caller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalId {
    Anonymous,
    /// A user, a service principal or a managed identity of the deployment.
    Directory([u8; 16]),
    /// Somebody whom a trusted outside issuer vouches for.
    Outside([u8; 16]),
    /// A repository-scoped token of one registry.
    Token(ResourceId),
    /// The admin user of one registry.
    AdminUser(RegistryId),
}

impl PrincipalId {
    /// The text that stands for the principal in a token's claims.
    pub(crate) fn to_claim(self) -> String {
        match self {
            Self::Anonymous => String::new(),
            Self::Directory(id) => hex(&id),
            Self::Outside(id) => format!("outside:{}", hex(&id)),
            Self::Token(id) => format!("token:{}", hex(id.as_bytes())),
            Self::AdminUser(id) => format!("admin:{}", hex(id.as_bytes())),
        }
    }

    pub(crate) fn from_claim(claim: &str) -> Option<Self> {
        let id = |text: &str| -> Option<[u8; 16]> { unhex(text)?.try_into().ok() };
        match claim.split_once(':') {
            None if claim.is_empty() => Some(Self::Anonymous),
            None => Some(Self::Directory(id(claim)?)),
            Some(("outside", text)) => Some(Self::Outside(id(text)?)),
            Some(("token", text)) => Some(Self::Token(ResourceId::from_bytes(id(text)?))),
            Some(("admin", text)) => Some(Self::AdminUser(RegistryId::from_bytes(id(text)?))),
            Some(_) => None,
        }
    }
}

/// A principal with the groups that its issuer says it belongs to. Groups of the deployment itself are not among them:
/// the policy knows those.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub id: PrincipalId,
    pub groups: &'a [[u8; 16]],
}

impl From<PrincipalId> for Subject<'static> {
    fn from(id: PrincipalId) -> Self {
        Self { id, groups: &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_and_its_principal_say_the_same() {
        for id in [
            PrincipalId::Anonymous,
            PrincipalId::Directory([1; 16]),
            PrincipalId::Outside([4; 16]),
            PrincipalId::Token(ResourceId::from_bytes([2; 16])),
            PrincipalId::AdminUser(RegistryId::from_bytes([3; 16])),
        ] {
            assert_eq!(PrincipalId::from_claim(&id.to_claim()), Some(id));
        }
        for nobody in ["x", "token:", "token:00", "other:00000000000000000000000000000000"] {
            assert_eq!(PrincipalId::from_claim(nobody), None, "{nobody}");
        }
    }
}
