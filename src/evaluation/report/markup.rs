//! Pieces of HTML.

/// Text as HTML shows it, in elements and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Four places, or fewer for larger numbers.
pub fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "–".to_owned(),
        // Not with a sign that rounding left over.
        size if size < 0.000_05 => "0.0000".to_owned(),
        size if size < 10.0 => format!("{value:.4}"),
        size if size < 1_000.0 => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

/// A table; the first row is its head. Cells are escaped here.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"scroll\"><table>\n");
    for (place, row) in rows.iter().enumerate() {
        let tag = if place == 0 { "th" } else { "td" };
        html.push_str("<tr>");
        for cell in row {
            html.push_str(&format!("<{tag}>{}</{tag}>", escape(cell)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_taken_for_markup() {
        let text = "<b onclick='x'>\"a\" & b</b>";
        let golden = "&lt;b onclick=&#39;x&#39;&gt;&quot;a&quot; &amp; b&lt;/b&gt;";
        assert_eq!(escape(text), golden);
        assert!(table(&[vec![text.to_owned()]]).contains(golden));
    }

    #[test]
    fn numbers_have_the_places_that_matter() {
        assert_eq!(
            [number(0.12345), number(-12.345), number(98_765.4)],
            ["0.1235", "-12.35", "98765"]
        );
        assert_eq!([number(f64::NAN), number(-0.00001)], ["–", "0.0000"]);
    }
}
