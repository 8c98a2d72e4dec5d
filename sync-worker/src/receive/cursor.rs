//! Cursors of lists (RFC 9865): the row after which a page begins or before which it ends, for the very query that it came with.
//!
//! Nothing is kept for them, and there is nothing to be gained by making one up: it names a place in a list that its caller may read
//! anyway. What its row is sorted by is looked up again, so that no name of anybody stands in an address.

use chrono::Utc;
use scim::ResourceType;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// For so many seconds after its page a cursor is taken.
pub(super) const TIMEOUT: u64 = 24 * 3_600;

/// Of a query, but for its page.
pub(super) fn digest(source: &str, kind: ResourceType, query: &scim::Query) -> [u8; 8] {
    let filter = query.filter.as_ref().map(ToString::to_string).unwrap_or_default();
    let sort = query.sort.map(|sort| format!("{} {}", sort.by, sort.descending)).unwrap_or_default();
    let digest = Sha256::digest(format!("{source}\n{}\n{sort}\n{filter}", kind.as_str()));
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    first
}

/// A cursor to the page after a row, or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    After(Uuid),
    Before(Uuid),
}

const AFTER: u8 = 0;
const BEFORE: u8 = 1;

pub(super) fn write(place: Place, digest: [u8; 8]) -> String {
    let issued = u64::try_from(Utc::now().timestamp()).unwrap_or(0);
    let (side, row) = match place {
        Place::After(row) => (AFTER, row),
        Place::Before(row) => (BEFORE, row),
    };
    hex::encode([&[side][..], row.as_bytes(), &issued.to_be_bytes(), &digest].concat())
}

/// Where the page is.
///
/// # Errors
/// `invalidCursor` for what is no cursor of this query, `expiredCursor` for an old one.
pub(super) fn read(cursor: &str, digest: [u8; 8]) -> Result<Place, scim::Error> {
    let bytes: [u8; 33] =
        hex::decode(cursor).ok().and_then(|bytes| bytes.try_into().ok()).ok_or_else(scim::Error::invalid_cursor)?;
    let (mut row, mut issued) = ([0; 16], [0; 8]);
    row.copy_from_slice(&bytes[1..17]);
    issued.copy_from_slice(&bytes[17..25]);
    if bytes[25..] != digest {
        return Err(scim::Error::invalid_cursor());
    }
    let row = Uuid::from_bytes(row);
    let place = match bytes[0] {
        AFTER => Place::After(row),
        BEFORE => Place::Before(row),
        _ => return Err(scim::Error::invalid_cursor()),
    };
    let now = u64::try_from(Utc::now().timestamp()).unwrap_or(0);
    if u64::from_be_bytes(issued).saturating_add(TIMEOUT) < now {
        return Err(scim::Error::expired_cursor());
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b1_33_a_cursor_is_of_one_query_and_of_one_day() {
        let (row, query) = (Uuid::from_u128(7), [1; 8]);
        for place in [Place::After(row), Place::Before(row)] {
            let cursor = write(place, query);
            assert_eq!(read(&cursor, query), Ok(place));
            assert_eq!(read(&cursor, [2; 8]), Err(scim::Error::invalid_cursor()));
            for wrong in ["", "zz", "00", &cursor[2..], &format!("07{}", &cursor[2..])] {
                assert_eq!(read(wrong, query), Err(scim::Error::invalid_cursor()));
            }
        }
        let old = hex::encode([&[AFTER][..], row.as_bytes(), &1_u64.to_be_bytes(), &query].concat());
        assert_eq!(read(&old, query), Err(scim::Error::expired_cursor()));
    }
}
