//! A small picture of lines over two logarithmic scales.

use std::fmt::Write as _;

pub struct Point {
    pub people: f64,
    pub per_second: f64,
}

pub struct Series {
    pub name: String,
    pub points: Vec<Point>,
}

const COLOURS: [&str; 5] = ["#b2182b", "#ef8a62", "#2166ac", "#67a9cf", "#4d9221"];
/// The field of the lines: its left, top, width and height.
const FIELD: [f64; 4] = [70.0, 40.0, 480.0, 300.0];

/// As SVG, with axes that begin and end at powers of ten.
pub fn draw(title: &str, all: &[Series]) -> String {
    let points = || all.iter().flat_map(|series| &series.points);
    let across = Scale::over(points().map(|point| point.people));
    let up = Scale::over(points().map(|point| point.per_second));
    let [left, top, width, height] = FIELD;
    let x = |value: f64| left + width * across.place(value);
    let y = |value: f64| top + height * (1.0 - up.place(value));
    let mut svg = String::new();
    let mut line = |text: String| writeln!(svg, "{text}").expect("a string grows");
    line(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 400" font-family="sans-serif" font-size="12">"#
            .into(),
    );
    line(r#"<rect width="780" height="400" fill="white"/>"#.into());
    line(format!(r#"<text x="{left}" y="24" font-size="15">{title}</text>"#));
    for power in up.from..=up.to {
        let (at, value) = (y(10_f64.powi(power)), 10_i64.pow(power.unsigned_abs()));
        line(format!(r##"<path d="M{left} {at:.1}h{width}" stroke="#ddd"/>"##));
        line(format!(r#"<text x="{}" y="{:.1}" text-anchor="end">{value}</text>"#, left - 8.0, at + 4.0));
    }
    for power in across.from..=across.to {
        let (at, value) = (x(10_f64.powi(power)), 10_i64.pow(power.unsigned_abs()));
        line(format!(r##"<path d="M{at:.1} {top}v{height}" stroke="#ddd"/>"##));
        line(format!(r#"<text x="{at:.1}" y="{}" text-anchor="middle">{value}</text>"#, top + height + 18.0));
    }
    for (nth, series) in all.iter().enumerate() {
        let (colour, name) = (COLOURS[nth % COLOURS.len()], &series.name);
        let path: Vec<String> =
            series.points.iter().map(|point| format!("{:.1},{:.1}", x(point.people), y(point.per_second))).collect();
        line(format!(r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#, path.join(" ")));
        for point in &path {
            let (x, y) = point.split_once(',').unwrap_or_default();
            line(format!(r#"<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>"#));
        }
        let (at, text) = (top + 20.0 * nth as f64 + 10.0, left + width + 20.0);
        line(format!(r#"<circle cx="{text}" cy="{at}" r="4" fill="{colour}"/>"#));
        line(format!(r#"<text x="{}" y="{}">{name}</text>"#, text + 10.0, at + 4.0));
    }
    svg + "</svg>\n"
}

/// From one power of ten to another.
struct Scale {
    from: i32,
    to: i32,
}

impl Scale {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let from = values.clone().fold(f64::MAX, f64::min).log10().floor() as i32;
        let to = values.fold(1.0, f64::max).log10().ceil() as i32;
        Self { from: from.max(0), to: to.max(from.max(0) + 1) }
    }

    /// From 0 to 1.
    fn place(&self, value: f64) -> f64 {
        (value.log10() - f64::from(self.from)) / f64::from(self.to - self.from)
    }
}
