//! What people are called: in several scripts, with marks and quotes that exports get wrong, and many of them alike.

use crate::dice::fold;

/// As it is written, and as a user name has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    pub written: &'static str,
    pub plain: &'static str,
}

const fn name(written: &'static str, plain: &'static str) -> Name {
    Name { written, plain }
}

// "Zoe\u{308}" and "Andre\u{301}" are composed of two characters, which look like the one beside them and are other bytes.
const GIVEN: [Name; 40] = [
    name("Ana", "ana"),
    name("Ben", "ben"),
    name("Chi", "chi"),
    name("Dee", "dee"),
    name("Emil", "emil"),
    name("Zoë", "zoe"),
    name("Zoe\u{308}", "zoe"),
    name("André", "andre"),
    name("Andre\u{301}", "andre"),
    name("Łukasz", "lukasz"),
    name("İpek", "ipek"),
    name("Işıl", "isil"),
    name("Åsa", "asa"),
    name("Øyvind", "oyvind"),
    name("Jürgen", "juergen"),
    name("Nguyễn", "nguyen"),
    name("Đặng", "dang"),
    name("Σωκράτης", "sokratis"),
    name("Ольга", "olga"),
    name("Юрий", "yurii"),
    name("Ірина", "iryna"),
    name("李雷", "lilei"),
    name("韩梅", "hanmei"),
    name("さくら", "sakura"),
    name("민준", "minjun"),
    name("محمد", "mohammed"),
    name("ليلى", "layla"),
    name("דוד", "david"),
    name("प्रिया", "priya"),
    name("ศรี", "sri"),
    name("தமிழ்", "tamil"),
    name("Jean-Luc", "jean-luc"),
    name("Mary Ann", "maryann"),
    name("D'Arcy", "darcy"),
    name("Seán", "sean"),
    name("María José", "mariajose"),
    name("Ngũgĩ", "ngugi"),
    name("Ọlá", "ola"),
    name("ǅemal", "dzemal"),
    name("Fiﬁ", "fifi"),
];

const FAMILY: [Name; 36] = [
    name("Lima", "lima"),
    name("Berg", "berg"),
    name("Smith", "smith"),
    name("Okafor", "okafor"),
    name("Müller", "mueller"),
    name("Mu\u{308}ller", "mueller"),
    name("Weiß", "weiss"),
    name("WEISS", "weiss"),
    name("Groß", "gross"),
    name("Smith", "smith"),
    name("Smith", "smith"),
    name("Nowak", "nowak"),
    name("Çelik", "celik"),
    name("Yılmaz", "yilmaz"),
    name("Ångström", "angstroem"),
    name("Björk", "bjoerk"),
    name("Παπαδόπουλος", "papadopoulos"),
    name("Петров", "petrov"),
    name("Шевченко", "shevchenko"),
    name("王", "wang"),
    name("李", "li"),
    name("佐藤", "sato"),
    name("김", "kim"),
    name("الحسن", "alhassan"),
    name("כהן", "cohen"),
    name("शर्मा", "sharma"),
    name("O'Brien", "obrien"),
    name("van der Berg", "vanderberg"),
    name("de la Cruz", "delacruz"),
    name("Nuñez", "nunez"),
    name("Nun\u{303}ez", "nunez"),
    name("Trần", "tran"),
    name("Mac Giolla Phádraig", "macgiolla"),
    name("Saint-Exupéry", "saint-exupery"),
    name("Ḥaddād", "haddad"),
    name("Ṣeyi", "seyi"),
];

pub(crate) fn given(bits: u64) -> Name {
    of(&GIVEN, bits)
}

pub(crate) fn family(bits: u64) -> Name {
    of(&FAMILY, bits)
}

fn of(names: &[Name], bits: u64) -> Name {
    names[usize::try_from(fold(bits, names.len() as u64)).unwrap_or(0)]
}

/// The given name; of a hundred, three have another in quotes beside it.
pub(crate) fn written(given: Name, spelling: u64) -> String {
    match spelling {
        0..3 => format!("{} \"Jo\"", given.written),
        _ => given.written.to_owned(),
    }
}

/// The family name; of a hundred, six have a title behind it, after a comma or a semicolon.
pub(crate) fn titled(family: Name, spelling: u64) -> String {
    match spelling {
        2..5 => format!("{}, MBA", family.written),
        5..8 => format!("{}; Jr.", family.written),
        _ => family.written.to_owned(),
    }
}

/// Names are alike, so the number of the person, in base 36, sets them apart. Of a hundred, some have it in their own script
/// and some in capitals.
pub(crate) fn user_name(given: Name, family: Name, person: u64, spelling: u64) -> String {
    let number = base36(person);
    match spelling {
        10..14 => format!("{}.{number}", given.written.replace(' ', "")),
        14..18 => format!("{}.{}.{number}", given.plain.to_uppercase(), family.plain.to_uppercase()),
        _ => format!("{}.{}.{number}", given.plain, family.plain),
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::try_from(number % 36).unwrap_or(0)]));
        number /= 36;
        if number == 0 {
            return digits.iter().rev().collect();
        }
    }
}
