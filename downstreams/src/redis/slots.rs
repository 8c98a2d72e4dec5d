//! Which node of a cluster has a key; pure. (Redis Cluster Specification, "Key distribution model".)

use ::redis::{ErrorKind, RedisError, Value, from_redis_value_ref};

const COUNT: usize = 16384;

/// For each slot the number of its primary, and by number how the primaries are called in the cluster.
#[derive(PartialEq, Eq)]
pub(crate) struct Slots {
    primaries: Vec<u16>,
    ids: Vec<String>,
}

/// A node's address; no host where it does not know its own.
pub(super) type Address = (String, u16);

impl Slots {
    /// Reads the answer to `CLUSTER SLOTS`: ranges, each with its primary and then its replicas. The addresses are of the
    /// primaries, by number. Whichever node was asked, the numbers are the same: they follow the slots.
    ///
    /// # Errors
    /// If a slot is nobody's: a walk over the others would miss sessions in silence.
    pub(super) fn read(answer: &Value) -> Result<(Self, Vec<Address>), RedisError> {
        let mut ranges = Vec::new();
        for range in from_redis_value_ref::<Vec<Value>>(answer)? {
            let [first, last, primary, ..] = &from_redis_value_ref::<Vec<Value>>(&range)?[..] else { continue };
            let (first, last): (usize, usize) = (from_redis_value_ref(first)?, from_redis_value_ref(last)?);
            ranges.push((first, last, from_redis_value_ref::<Vec<Value>>(primary)?));
        }
        ranges.sort_by_key(|(first, ..)| *first);
        let nobody = u16::MAX;
        let mut slots = Self { primaries: vec![nobody; COUNT], ids: Vec::new() };
        let mut addresses = Vec::new();
        for (first, last, primary) in ranges {
            let [host, port, id, ..] = &primary[..] else { continue };
            let id: String = from_redis_value_ref(id)?;
            let number = match slots.ids.iter().position(|known| *known == id) {
                Some(number) => number,
                None => {
                    let host: Option<String> = from_redis_value_ref(host)?;
                    addresses.push((host.filter(|host| host != "?").unwrap_or_default(), from_redis_value_ref(port)?));
                    slots.ids.push(id);
                    slots.ids.len() - 1
                }
            };
            let range = slots.primaries.get_mut(first..=last);
            range.unwrap_or_default().fill(u16::try_from(number).unwrap_or(nobody));
        }
        match slots.primaries.contains(&nobody) {
            true => Err((ErrorKind::Io, "no node of the cluster serves some of its slots").into()),
            false => Ok((slots, addresses)),
        }
    }

    pub(super) fn node(&self, key: &[u8]) -> usize {
        self.primaries[usize::from(crc16(tag(key))) % COUNT].into()
    }
}

/// What is between the first brace and the next closing one, if there is anything; else all.
fn tag(key: &[u8]) -> &[u8] {
    let tagged = || {
        let open = key.iter().position(|byte| *byte == b'{')?;
        let length = key[open + 1..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[open + 1..open + 1 + length])
    };
    tagged().unwrap_or(key)
}

/// CRC16-CCITT as in XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x1021,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_slot_that_the_specification_gives_it() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (key, slot) in [("foo", 12182), ("bar", 5061), ("sess:{foo}:1", 12182), ("{}foo", 9500), ("a{", 14311)] {
            let found = crc16(tag(key.as_bytes())) % 16384;
            assert_eq!(found, slot, "{key}");
        }
    }

    fn node(host: &str, port: i64, id: &str) -> Value {
        Value::Array(vec![Value::BulkString(host.into()), Value::Int(port), Value::BulkString(id.into())])
    }

    fn range(first: i64, last: i64, node: Value) -> Value {
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    #[test]
    fn slots_that_nobody_serves_are_an_error_and_no_silence() {
        let (low, high) = (range(0, 8000, node("a", 1, "A")), range(8002, 16383, node("b", 2, "B")));
        assert!(Slots::read(&Value::Array(vec![low.clone(), high.clone()])).is_err());
        let gap = range(8001, 8001, node("a", 1, "A"));
        let (slots, primaries) = Slots::read(&Value::Array(vec![low, gap, high])).unwrap();
        assert_eq!(primaries, [("a".to_owned(), 1), ("b".to_owned(), 2)]);
        assert_eq!((slots.node(b"bar"), slots.node(b"foo")), (0, 1));
    }

    #[test]
    fn slots_are_the_same_whichever_node_tells_of_them_and_others_once_one_has_moved() {
        let read = |ranges: Vec<Value>| Slots::read(&Value::Array(ranges)).unwrap();
        let whole = |border| vec![range(0, border, node("a", 1, "A")), range(border + 1, 16383, node("b", 2, "B"))];
        // Asked, the second node tells its own slots first, and does not know its own address.
        let second = vec![range(8001, 16383, node("", 2, "B")), range(0, 8000, node("10.0.0.1", 1, "A"))];
        let ((first, _), (second, addresses)) = (read(whole(8000)), read(second));
        assert!(first == second && addresses == [("10.0.0.1".to_owned(), 1), (String::new(), 2)]);
        assert!(first != read(whole(7999)).0, "a slot has moved");
        let replaced = vec![range(0, 8000, node("a", 1, "C")), range(8001, 16383, node("b", 2, "B"))];
        assert!(first != read(replaced).0, "another node has taken over");
    }
}
