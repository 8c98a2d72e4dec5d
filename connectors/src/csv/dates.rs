//! Days of employment as instants: HR states days, and a day begins and ends where the person works.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// What a date cell says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stated {
    /// A day, which needs a zone.
    Day(NaiveDate),
    /// An instant, which needs none.
    Instant(DateTime<Utc>),
}

/// `YYYY-MM-DD` or an RFC 3339 instant; `None` for anything else.
pub(super) fn parse(cell: &str) -> Option<Stated> {
    let shape = |(i, byte): (usize, u8)| if i == 4 || i == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    if cell.len() == 10 && cell.bytes().enumerate().all(shape) {
        return NaiveDate::parse_from_str(cell, "%Y-%m-%d").ok().map(Stated::Day);
    }
    DateTime::parse_from_rfc3339(cell).ok().map(|instant| Stated::Instant(instant.to_utc()))
}

/// 00:00 of `day`, the first of them where the clocks go back over midnight, and the first instant after the gap where
/// they go forward over it.
pub(super) fn first_instant(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN);
    (0..=2 * 24 * 60)
        .find_map(|minutes| zone.from_local_datetime(&(midnight + TimeDelta::minutes(minutes))).earliest())
        .expect("no zone has ever skipped more than one day")
        .to_utc()
}

/// 24:00 of `day`. `None` for 9999-12-31, by which HR systems say that there is no last day.
pub(super) fn end_of(day: NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let no_end = NaiveDate::from_ymd_opt(9999, 12, 31);
    (Some(day) != no_end).then(|| first_instant(day + Days::new(1), zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        match parse(text) {
            Some(Stated::Day(day)) => day,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn the_last_day_ends_at_its_own_midnight_in_every_zone() {
        for (last, zone, ends) in [
            ("2026-06-30", "UTC", "2026-07-01T00:00:00Z"),
            ("2026-12-31", "UTC", "2027-01-01T00:00:00Z"),
            ("2028-02-28", "UTC", "2028-02-29T00:00:00Z"),
            // The first and the last place on earth to finish a day.
            ("2026-06-30", "Pacific/Kiritimati", "2026-06-30T10:00:00Z"),
            ("2026-06-30", "Etc/GMT+12", "2026-07-01T12:00:00Z"),
            ("2026-06-30", "Etc/GMT-14", "2026-06-30T10:00:00Z"),
            ("2026-06-30", "Asia/Kathmandu", "2026-06-30T18:15:00Z"),
            // Days of 23 and of 25 hours, and those beside them.
            ("2026-03-28", "Europe/Berlin", "2026-03-28T23:00:00Z"),
            ("2026-03-29", "Europe/Berlin", "2026-03-29T22:00:00Z"),
            ("2026-10-24", "Europe/Berlin", "2026-10-24T22:00:00Z"),
            ("2026-10-25", "Europe/Berlin", "2026-10-25T23:00:00Z"),
            ("2026-03-08", "America/New_York", "2026-03-09T04:00:00Z"),
            ("2026-04-04", "Australia/Lord_Howe", "2026-04-04T13:00:00Z"),
            ("2026-04-05", "Australia/Lord_Howe", "2026-04-05T13:30:00Z"),
            // 00:00 does not exist: the clocks go from 24:00 to 01:00.
            ("2018-11-03", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
            ("2026-04-23", "Africa/Cairo", "2026-04-23T22:00:00Z"),
            // 00:00 exists twice: at 01:00 the clocks go back to it.
            ("2024-11-02", "America/Havana", "2024-11-03T04:00:00Z"),
            // 23:00 exists twice: at 24:00 the clocks go back, so the day ends an hour later.
            ("2024-03-23", "America/Asuncion", "2024-03-24T04:00:00Z"),
            // Samoa had no 30 December 2011.
            ("2011-12-29", "Pacific/Apia", "2011-12-30T10:00:00Z"),
        ] {
            let ends: DateTime<Utc> = ends.parse().unwrap();
            assert_eq!(end_of(day(last), zone.parse().unwrap()), Some(ends), "{last} in {zone}");
        }
    }

    #[test]
    fn a_day_begins_when_the_day_before_ends() {
        for zone in chrono_tz::TZ_VARIANTS {
            for last in ["2026-03-28", "2026-03-29", "2026-04-23", "2026-09-05", "2026-10-31", "2026-12-31"] {
                let last = day(last);
                assert_eq!(end_of(last, zone), Some(first_instant(last + Days::new(1), zone)), "{last} in {zone}");
                assert!(first_instant(last, zone) < first_instant(last + Days::new(1), zone), "{last} in {zone}");
            }
        }
    }

    #[test]
    fn an_instant_needs_no_zone() {
        let at = |text: &str| Some(Stated::Instant(text.parse().unwrap()));
        assert_eq!(parse("2026-06-30T17:30:00+02:00"), at("2026-06-30T15:30:00Z"));
        assert_eq!(parse("2026-06-30T15:30:00.250Z"), at("2026-06-30T15:30:00.250Z"));
    }

    #[test]
    fn no_end_is_not_the_year_ten_thousand() {
        assert_eq!(end_of(day("9999-12-31"), Tz::UTC), None);
    }

    #[test]
    fn a_date_in_another_shape_is_not_guessed() {
        for wrong in [
            "30.06.2026",
            "06/30/2026",
            "2026-6-30",
            "20260630",
            "2026-02-30",
            "2026-06-30 17:30",
            "+026-06-30",
            "2026-06-30T17:30:00",
            "46203",
            "never",
            "２０２６-06-30",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
