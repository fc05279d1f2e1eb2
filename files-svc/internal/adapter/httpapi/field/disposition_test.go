package field

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// names are what people really call their files.
var names = []string{
	"report.pdf", "résumé.txt", "Отчёт за год.docx", "报告.pdf", "تقرير.pdf", "דוח.txt", "रिपोर्ट.txt", "レポート.pdf",
	"보고서.hwp", "รายงาน.txt", "Ω≈ç√∫.bin", "🎉 party 🎈.png", "a\"b.txt", `back\slash.txt`, "100%.txt", "a%22b.txt",
	"semi;colon.txt", "com,ma.txt", "eq=ual.txt", "it's.txt", "  spaced  .txt", "trailing.", "CON", "aux.txt", ".hidden",
	"e\u0301.txt", "\u202Egpj.exe", "zero\u200bwidth.txt", strings.Repeat("é", 127),
}

func TestDisposition_EveryNameComesBackExactly(t *testing.T) {
	for _, name := range names {
		value := FormatDisposition("attachment", name)
		assertPlainField(t, value)
		got, err := ParseDisposition(value)
		if err != nil || got.Filename != name || got.Kind != "attachment" {
			t.Errorf("%q went out as %q and came back as %q, %v", name, value, got.Filename, err)
		}
	}
}

func TestDisposition_AnyTextComesBackExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringN(1, 80, 255).Filter(utf8.ValidString).Draw(t, "name")
		value := FormatDisposition("attachment", name)
		for i := range len(value) {
			if value[i] < 0x20 || value[i] >= 0x7f {
				t.Fatalf("%q: byte %#x in a header", value, value[i])
			}
		}
		got, err := ParseDisposition(value)
		if err != nil || got.Filename != name {
			t.Fatalf("%q became %q, %v", name, got.Filename, err)
		}
	})
}

func assertPlainField(t *testing.T, value string) {
	t.Helper()
	for i := range len(value) {
		if value[i] < 0x20 || value[i] >= 0x7f {
			t.Errorf("%q: byte %#x in a header", value, value[i])
		}
	}
}

func TestFormatDisposition_FallbackIsHarmless(t *testing.T) {
	for name, want := range map[string]string{
		"CON": "_CON", "aux.txt": "_aux.txt", "com1": "_com1", "com": "com", "a.": "a", "...": "_", "é": "_",
		`x";y="z`: "x_;y=_z", "../../etc/passwd": ".._.._etc_passwd", "a\r\nSet-Cookie: x": "a__Set-Cookie_ x",
	} {
		got := FormatDisposition("attachment", name)
		if want := `attachment; filename="` + want + `"; filename*=`; !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %s, want it to begin %s", name, got, want)
		}
	}
}

func TestParseDisposition(t *testing.T) {
	for value, want := range map[string]string{
		`attachment; filename=plain.txt`:                               "plain.txt",
		`ATTACHMENT; FILENAME="q.txt"`:                                 "q.txt",
		`attachment; filename="a.txt"; filename*=UTF-8''%C3%A9.txt`:    "é.txt",
		`attachment; filename*=utf-8'en'%E2%82%AC%20rates`:             "€ rates",
		`attachment; filename="EURO.txt"; filename*=ISO-8859-9''x.txt`: "EURO.txt",
		`attachment; filename="a\"b.txt"`:                              `a"b.txt`,
		`attachment; filename="../../etc/passwd"`:                      "../../etc/passwd",
		`attachment`: "",
	} {
		got, err := ParseDisposition(value)
		if err != nil || got.Filename != want {
			t.Errorf("%s: got %q, %v; want %q", value, got.Filename, err, want)
		}
	}
	for _, bad := range []string{
		"", ";", `attachment; filename="open`, `attachment; filename=a b`, `attachment; filename=a; filename=b`,
		`attachment; filename*=UTF-8''%FF%FE`, "attachment; filename=\"\xff\"",
	} {
		if d, err := ParseDisposition(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, d)
		}
	}
}

func TestParseFormDisposition(t *testing.T) {
	d, err := ParseFormDisposition(`form-data; name="file"; filename="a%22b%0A.txt"`)
	if err != nil || d.Field != "file" || d.Filename != `a"b%0A.txt` {
		t.Errorf("got %+v, %v", d, err)
	}
	for _, bad := range []string{`attachment; name="file"`, `form-data`, `form-data; filename="x"`} {
		if _, err := ParseFormDisposition(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
}
