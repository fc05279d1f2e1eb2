package sqldump_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/libs/sqldump"
)

// read returns each row as "line: a|b|c" of the columns id, name and note, with ~ for null and ! for what can't be read.
func read(t *testing.T, d sqldump.Dialect, dump string) (rows []string, err error) {
	t.Helper()
	r, err := sqldump.NewReader(strings.NewReader(dump), d, "users")
	if err != nil {
		return nil, err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		text := fmt.Sprintf("%d:", row.Line)
		for _, c := range []string{"id", "name", "note"} {
			switch v, ok := row.Column(c); {
			case !ok:
			case v.Bad != "":
				text += " !"
			case v.Null:
				text += " ~"
			default:
				text += " " + v.Text
			}
		}
		rows = append(rows, text)
	}
}

func TestNext_ReadsWhatDumpsSay(t *testing.T) {
	for name, c := range map[string]struct {
		dialect sqldump.Dialect
		dump    string
		want    []string
	}{
		"mysqldump": {sqldump.MySQL, "/*M!999999\\- enable the sandbox mode */\n-- MySQL dump 10.13  Distrib 8.4\n/*!40101 SET NAMES utf8mb4 */;\n" +
			"CREATE TABLE `users` (\n  `id` int NOT NULL,\n  `name` varchar(9) DEFAULT 'a,(b',\n  `note` enum('x','y'),\n  PRIMARY KEY (`id`),\n  KEY `k` (`name`)\n) ENGINE=InnoDB;\n" +
			"LOCK TABLES `users` WRITE;\nINSERT INTO `users` VALUES (1,'O\\'Brien','a\\nb'),(2,'it''s',NULL),\n(-3,_binary 'x\\\\',0x6162);\n# done\nUNLOCK TABLES;\n",
			[]string{"12: 1 O'Brien a\nb", "12: 2 it's ~", "13: -3 x\\ ab"}},
		"mysqldump --complete-insert": {sqldump.MySQL, "INSERT IGNORE INTO `d`.`users` (`name`, `id`) VALUES (\"q\", 1.5e-3);", []string{"1: 1.5e-3 q"}},
		"mysqldump --routines": {sqldump.MySQL, "CREATE TABLE users (id int, name text);\nDELIMITER ;;\nCREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW BEGIN\n" +
			"INSERT INTO users VALUES (9,'trap');\nEND ;;\nDELIMITER ;\nINSERT INTO users VALUES (1,'a');", []string{"7: 1 a"}},
		"pg_dump": {sqldump.Standard, "\\restrict abc'def\nSET client_encoding = 'UTF8';\nCREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS $_$ begin; 'it''s; $_$;\n" +
			"CREATE TABLE public.other (id integer);\nCREATE TABLE public.users (\n    id text NOT NULL,\n    name text DEFAULT 'x'::text,\n    note text\n);\n" +
			"COPY public.other (id) FROM stdin;\n1\n\\\\.\n\\.\n\nCOPY public.users (id, note, name) FROM stdin;\n1\t\\N\ta\\tb\n2\tc:\\\\d\t\n\\.\n\nSELECT 1;\n",
			[]string{"16: 1 a\tb ~", "17: 2  c:\\d"}},
		"pg_dump --inserts": {sqldump.Standard, "CREATE TABLE public.users (id text, name text, note text);\nINSERT INTO public.users VALUES ('1', 'c:\\d', 'x'::text);\n" +
			"INSERT INTO public.users VALUES ('2', E'a\\\\b', '{}'::jsonb || '{}');\nINSERT INTO auth.users VALUES (1);\n" +
			"INSERT INTO public.\"users\" (id, name) OVERRIDING SYSTEM VALUE VALUES ('3', true) ON CONFLICT DO NOTHING;", []string{"2: 1 c:\\d x", "3: 2 a\\b !", "5: 3 true"}},
		"sqlite": {sqldump.Standard, "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE users (\n  id INTEGER PRIMARY KEY AUTOINCREMENT, -- the key\n  name TEXT UNIQUE NOT NULL, note TEXT,\n UNIQUE(name, note)\n);\n" +
			"INSERT INTO users VALUES(1,'it''s',replace('a\\nb','\\n',char(10)));\nINSERT INTO \"users\" VALUES(2,X'6162',NULL);\n" +
			"CREATE TRIGGER t AFTER INSERT ON users BEGIN UPDATE x SET y = CASE WHEN 1 THEN 2 END; INSERT INTO users VALUES(3,'trap',NULL); END;\nCOMMIT;\n",
			[]string{"8: 1 it's !", "9: 2 ab ~"}},
		"a value too long": {sqldump.Standard, "INSERT INTO users (id, name) VALUES (1, '" + strings.Repeat("x", 1<<20) + "');\nCOPY users (id, name) FROM stdin;\n2\t" +
			strings.Repeat("x", 1<<20) + "\n\\.\n", []string{"1: 1 !", "3: 2 !"}},
		"no rows":           {sqldump.Standard, "\xef\xbb\xbfCREATE TABLE users (id int);", nil},
		"Windows line ends": {sqldump.Standard, "COPY users (id, name) FROM stdin;\r\n1\ta\r\n2\t\\N\r\n\\.\r\n", []string{"2: 1 a", "3: 2 ~"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(t, c.dialect, c.dump)
			if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
				t.Errorf("%v, rows (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestNext_RefusesHostileDumpsWithALine(t *testing.T) {
	create := "CREATE TABLE users (id int,\nname text);\n"
	for name, c := range map[string]struct {
		dialect sqldump.Dialect
		dump    string
		line    int64
		says    string
	}{
		"nothing":               {sqldump.MySQL, "", 1, "no table users"},
		"another database":      {sqldump.MySQL, "CREATE TABLE people (id int);\n", 2, "no table users"},
		"cut in a text":         {sqldump.MySQL, create + "INSERT INTO users VALUES (1,'a\n\n", 3, "inside the quotes"},
		"cut in a row":          {sqldump.MySQL, create + "INSERT INTO users VALUES (1,\n", 4, "lacks a value"},
		"cut behind a row":      {sqldump.MySQL, create + "INSERT INTO users VALUES (1,'a')", 3, "ends in the middle"},
		"cut behind a comma":    {sqldump.MySQL, create + "INSERT INTO users VALUES (1,'a'),", 3, "doesn't go on"},
		"cut in a comment":      {sqldump.MySQL, create + "/* x", 3, "inside the comment"},
		"cut in a copy":         {sqldump.Standard, create + "COPY users (id) FROM stdin;\n1\n", 5, "inside a row"},
		"cut in another copy":   {sqldump.Standard, create + "COPY x (id) FROM stdin;\n1\n", 4, "inside the rows"},
		"cut in a routine":      {sqldump.MySQL, create + "DELIMITER ;;\nx\n", 3, "DELIMITER"},
		"cut in a body":         {sqldump.Standard, "CREATE FUNCTION f() AS $a$ x $b$", 1, "inside the quotes"},
		"a value too many":      {sqldump.MySQL, create + "INSERT INTO users VALUES (1,'a'),\n(1,'a',2);", 4, "3 values for 2 columns"},
		"a field too few":       {sqldump.Standard, create + "COPY users (id, name) FROM stdin;\n1\n\\.\n", 4, "1 values for 2 columns"},
		"empty values":          {sqldump.MySQL, create + "INSERT INTO users VALUES (,);", 3, "lacks a value"},
		"no columns known":      {sqldump.MySQL, "INSERT INTO users VALUES (1);", 1, "before its CREATE TABLE"},
		"a column twice":        {sqldump.MySQL, "INSERT INTO users (id, ID) VALUES (1, 2);", 1, "makes no sense"},
		"a query":               {sqldump.MySQL, create + "INSERT INTO users SELECT * FROM x;", 3, "without plain values"},
		"two databases":         {sqldump.MySQL, create + create, 4, "a second table users"},
		"a million values":      {sqldump.MySQL, create + "INSERT INTO users VALUES (" + strings.Repeat("1,", 1_000_000), 3, "more than 1000 values"},
		"a million brackets":    {sqldump.MySQL, create + "INSERT INTO users VALUES (" + strings.Repeat("(", 1_000_000), 3, "inside a row"},
		"a million columns":     {sqldump.MySQL, "CREATE TABLE users (" + strings.Repeat("a int,", 1_000_000), 1, "more than 1000 columns"},
		"a word without an end": {sqldump.MySQL, strings.Repeat("a", 10<<20), 1, "a word longer"},
		"a name without an end": {sqldump.MySQL, "INSERT INTO `" + strings.Repeat("a", 10<<20) + "`", 1, "a name longer"},
		"CSV":                   {sqldump.Standard, create + "COPY users FROM stdin WITH (FORMAT csv);\n", 3, "another form"},
		"a copy from a program": {sqldump.Standard, create + "COPY users FROM PROGRAM 'rm -rf /';\n", 3, "not from stdin"},
		"pg_dump's own format":  {sqldump.Standard, "PGDMP\x01\x0e", 1, "pg_restore"},
		"a database":            {sqldump.Standard, "SQLite format 3\x00", 1, ".dump"},
		"gzip":                  {sqldump.MySQL, "\x1f\x8b\x08", 1, "gunzip"},
		"the wrong system":      {sqldump.Standard, "-- MySQL dump 10.13\n", 1, "dump of MySQL"},
		"the wrong system too":  {sqldump.MySQL, "--\n-- PostgreSQL database dump\n--\n", 1, "no dump of MySQL"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, c.dialect, c.dump)
			var bad *sqldump.Error
			if !errors.As(err, &bad) || bad.Line != c.line || !strings.Contains(bad.What, c.says) {
				t.Errorf("got %v, want line %d and %q", err, c.line, c.says)
			}
		})
	}
}

// Whatever the bytes are, reading ends, panics never, and numbers lines upwards.
func FuzzNext(f *testing.F) {
	f.Add("CREATE TABLE `users` (`id` int);\nINSERT INTO `users` VALUES (1),(NULL),('\\'');\nDELIMITER ;;\nx;;\nDELIMITER ;\n")
	f.Add("CREATE TABLE public.users (id text);\nCOPY public.users (id) FROM stdin;\n1\\t\n\\N\n\\.\nSELECT $a$ x $a$;")
	f.Add("INSERT INTO users (id) VALUES(x'61'), (replace('a',1,2)), (-1e-5);--")
	f.Fuzz(func(t *testing.T, dump string) {
		for _, d := range []sqldump.Dialect{sqldump.MySQL, sqldump.Standard} {
			r, err := sqldump.NewReader(strings.NewReader(dump), d, "users")
			for last := int64(1); err == nil; {
				var row sqldump.Row
				if row, err = r.Next(); err == nil && row.Line < last {
					t.Fatalf("line %d comes behind %d", row.Line, last)
				}
				last = max(last, row.Line)
			}
			var bad *sqldump.Error
			if errors.As(err, &bad) && (bad.Line < 1 || bad.Line > int64(strings.Count(dump, "\n")+1)) {
				t.Fatalf("%v, and the dump has fewer lines", err)
			}
		}
	})
}
