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

/// Four decimals, or fewer for larger numbers.
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

/// A table; its first row is the head of its columns, the first cell of the others that of
/// their row. Cells are escaped here.
pub fn table(rows: &[Vec<String>]) -> String {
    let mut html = String::from("<div class=\"scroll\" tabindex=\"0\"><table>\n<thead>");
    for (line, row) in rows.iter().enumerate() {
        html.push_str("<tr>");
        for (position, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            html.push_str(&match (line, position) {
                (0, _) => format!("<th scope=\"col\">{cell}</th>"),
                (_, 0) => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            });
        }
        html.push_str(if line == 0 { "</tr></thead>\n<tbody>\n" } else { "</tr>\n" });
    }
    html.push_str("</tbody></table></div>\n");
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
    fn tables_say_what_heads_their_columns_and_rows() {
        let rows =
            [["model", "NDCG"], ["engine", "0.1"]].map(|row| row.map(str::to_owned).to_vec());
        let html = table(&rows);
        let (head, body) = html.split_once("<tbody>").unwrap();
        assert_eq!(head.matches("<th scope=\"col\">").count(), 2);
        assert!(body.contains("<th scope=\"row\">engine</th><td>0.1</td>"));
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!(
            [number(0.12345), number(-12.345), number(98_765.4)],
            ["0.1235", "-12.35", "98765"]
        );
        assert_eq!([number(f64::NAN), number(-0.00001)], ["–", "0.0000"]);
    }
}
