//! The attributes of User, EnterpriseUser and Group, from RFC 7643 §8.7.1. `password` is missing on purpose: it is accepted and
//! dropped, and a schema must not promise what is not kept.

use super::{Attribute, Kind, Mutability};

const VALUE: Attribute = Attribute::string("value", "The value itself.");
const DISPLAY: Attribute = Attribute::string("display", "A name of the value for people.");
const PRIMARY: Attribute =
    Attribute::new("primary", Kind::Boolean, "Whether this is the preferred value; true for at most one.");

const fn labelled(canonical_values: &'static [&'static str]) -> Attribute {
    Attribute { canonical_values, ..Attribute::string("type", "What the value is used for.") }
}

const PLAIN_TYPE: Attribute = labelled(&[]);
const PLACE_TYPE: Attribute = labelled(&["work", "home", "other"]);

pub(crate) static USER: &[Attribute] = &[
    Attribute {
        required: true,
        unique: true,
        ..Attribute::string("userName", "The name by which the user signs in; unique without regard to case.")
    },
    Attribute::complex(
        "name",
        &[
            Attribute::string("formatted", "The full name, as it is displayed."),
            Attribute::string("familyName", "The family name."),
            Attribute::string("givenName", "The given name."),
            Attribute::string("middleName", "The middle names."),
            Attribute::string("honorificPrefix", "Titles before the name."),
            Attribute::string("honorificSuffix", "Titles after the name."),
        ],
        "The parts of the user's name.",
    ),
    Attribute::string("displayName", "The name of the user for people."),
    Attribute::string("nickName", "The casual name of the user."),
    Attribute {
        reference_types: &["external"],
        ..Attribute::new("profileUrl", Kind::Reference, "A page about the user.")
    },
    Attribute::string("title", "The user's title, such as \"Vice President\"."),
    Attribute::string("userType", "How the user relates to the organization, such as \"Contractor\"."),
    Attribute::string("preferredLanguage", "The user's preferred languages, as in Accept-Language."),
    Attribute::string("locale", "The user's locale, as a language tag."),
    Attribute::string("timezone", "The user's time zone, as an IANA name."),
    Attribute::new("active", Kind::Boolean, "Whether the user may have access. Setting it to false ends sessions."),
    Attribute::list("emails", &[VALUE, DISPLAY, PLACE_TYPE, PRIMARY], "E-mail addresses."),
    Attribute::list(
        "phoneNumbers",
        &[VALUE, DISPLAY, labelled(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY],
        "Telephone numbers.",
    ),
    Attribute::list(
        "ims",
        &[VALUE, DISPLAY, labelled(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]), PRIMARY],
        "Instant messaging addresses.",
    ),
    Attribute::list(
        "photos",
        &[
            Attribute {
                case_exact: true,
                reference_types: &["external"],
                ..Attribute::new("value", Kind::Reference, "Where the photo is.")
            },
            DISPLAY,
            labelled(&["photo", "thumbnail"]),
            PRIMARY,
        ],
        "Photos of the user.",
    ),
    Attribute::list(
        "addresses",
        &[
            Attribute::string("formatted", "The full address, as it is displayed."),
            Attribute::string("streetAddress", "Street, house number and the like; may have several lines."),
            Attribute::string("locality", "The city."),
            Attribute::string("region", "The state or region."),
            Attribute::string("postalCode", "The postal code."),
            Attribute::string("country", "The country, as an ISO 3166-1 alpha-2 code."),
            PLACE_TYPE,
            PRIMARY,
        ],
        "Physical addresses.",
    ),
    Attribute::list("entitlements", &[VALUE, DISPLAY, PLAIN_TYPE, PRIMARY], "What the user is entitled to."),
    Attribute::list("roles", &[VALUE, DISPLAY, PLAIN_TYPE, PRIMARY], "The user's roles."),
    Attribute::list(
        "x509Certificates",
        &[
            Attribute { case_exact: true, ..Attribute::new("value", Kind::Binary, "The certificate: DER in base64.") },
            DISPLAY,
            PLAIN_TYPE,
            PRIMARY,
        ],
        "Certificates of the user.",
    ),
    read_only(Attribute::list(
        "groups",
        &[
            read_only(exact(Attribute::string("value", "The `id` of the group."))),
            read_only(Attribute {
                reference_types: &["Group"],
                ..exact(Attribute::new("$ref", Kind::Reference, "The URI of the group."))
            }),
            read_only(Attribute::string("display", "The name of the group.")),
            read_only(Attribute {
                canonical_values: &["direct"],
                ..Attribute::string("type", "How the membership came about; groups in groups are not followed.")
            }),
        ],
        "The groups that the user is in. Changed through the members of the group.",
    )),
];

pub(crate) static ENTERPRISE_USER: &[Attribute] = &[
    Attribute::string("employeeNumber", "The identifier by which the organization knows the employee."),
    Attribute::string("costCenter", "The name of a cost center."),
    Attribute::string("organization", "The name of an organization."),
    Attribute::string("division", "The name of a division."),
    Attribute::string("department", "The name of a department."),
    Attribute::complex(
        "manager",
        &[
            Attribute { case_exact: true, ..Attribute::string("value", "The `id` of the manager.") },
            // A reference or a name beside the id goes stale as soon as the manager changes, so neither is taken from callers.
            Attribute {
                mutability: Mutability::ReadOnly,
                case_exact: true,
                reference_types: &["User"],
                ..Attribute::new("$ref", Kind::Reference, "The URI of the manager; not kept.")
            },
            Attribute {
                mutability: Mutability::ReadOnly,
                ..Attribute::string("displayName", "The name of the manager; not kept.")
            },
        ],
        "The user's manager.",
    ),
];

pub(crate) static GROUP: &[Attribute] = &[
    Attribute { required: true, ..Attribute::string("displayName", "The name of the group for people.") },
    Attribute::list(
        "members",
        &[
            Attribute {
                mutability: Mutability::Immutable,
                case_exact: true,
                ..Attribute::string("value", "The `id` of the member.")
            },
            Attribute {
                mutability: Mutability::Immutable,
                canonical_values: &["User", "Group"],
                ..Attribute::string("type", "Whether the member is a user or a group.")
            },
        ],
        "Users and groups in this group. Changes are set operations: adding a member twice is adding it once.",
    ),
];

const fn read_only(attribute: Attribute) -> Attribute {
    Attribute { mutability: Mutability::ReadOnly, ..attribute }
}

const fn exact(attribute: Attribute) -> Attribute {
    Attribute { case_exact: true, ..attribute }
}

/// Common to all resources (RFC 7643 §3 and §3.1); they stand in no schema.
pub(super) static COMMON: &[Attribute] = &[
    exact(Attribute::string("externalId", "The identifier given by the client.")),
    read_only(exact(Attribute::string("id", "The identifier given by the service provider."))),
    read_only(Attribute {
        multi_valued: true,
        ..exact(Attribute::new("schemas", Kind::Reference, "The schemas of the resource."))
    }),
    read_only(Attribute::complex(
        "meta",
        &[
            read_only(exact(Attribute::string("resourceType", "User or Group."))),
            read_only(Attribute::new("created", Kind::DateTime, "When the resource was created.")),
            read_only(Attribute::new("lastModified", Kind::DateTime, "When the resource was changed last.")),
            read_only(exact(Attribute::new("location", Kind::Reference, "The URI of the resource."))),
            read_only(exact(Attribute::string("version", "The entity tag of the resource."))),
        ],
        "What the service provider knows about the resource.",
    )),
];
