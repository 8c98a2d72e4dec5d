//! The requests that vendors document show no more than what their dialects are known for.

use scim::dialect::quirks;
use scim::{Dialect, ResourceType};
use serde_json::Value;

use crate::payload;

#[test]
fn b1_36_what_a_vendor_documents_is_expected_of_its_dialect() {
    let (user, group) = (ResourceType::User, ResourceType::Group);
    for (dialect, resource, body) in [
        (Dialect::Entra, user, payload!("entra_create_user")),
        (Dialect::Entra, user, payload!("entra_add_nick_name")),
        (Dialect::Entra, user, payload!("entra_update_user")),
        (Dialect::Entra, user, payload!("entra_disable_user")),
        (Dialect::Entra, group, payload!("entra_create_group")),
        (Dialect::Entra, group, payload!("entra_rename_group")),
        (Dialect::Entra, group, payload!("entra_add_members")),
        (Dialect::Entra, group, payload!("entra_remove_members")),
        (Dialect::Entra2062020, user, payload!("entra_update_user_2020")),
        (Dialect::Entra2062020, user, payload!("entra_disable_user_2020")),
        (Dialect::Entra2062020, group, payload!("entra_remove_members_2020")),
        (Dialect::OktaOin, user, payload!("okta_create_user")),
        (Dialect::OktaOin, user, payload!("okta_deactivate_user")),
        (Dialect::OktaOin, group, payload!("okta_rename_group")),
        (Dialect::OktaOin, group, payload!("okta_change_members")),
        (Dialect::OktaOin, group, payload!("okta_push_members")),
        (Dialect::OktaAiw, user, payload!("okta_create_user")),
        (Dialect::OktaAiw, user, payload!("okta_put_user")),
    ] {
        let unexpected = dialect.unexpected(&quirks(resource, &body, &[]));
        assert!(unexpected.is_empty(), "{}: {unexpected:?} in {body}", dialect.as_str());
    }
}

#[test]
fn the_removal_of_a_member_tells_the_two_forms_of_entra_apart() {
    let seen = |body: &Value| quirks(ResourceType::Group, body, &[]);
    assert_eq!(Dialect::detect(&seen(&payload!("entra_remove_members"))), Some(Dialect::Entra));
    assert_eq!(Dialect::detect(&seen(&payload!("entra_remove_members_2020"))), None);
}
