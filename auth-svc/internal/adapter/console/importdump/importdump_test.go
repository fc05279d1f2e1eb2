package importdump_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloakroom.dev/auth-svc/internal/adapter/console/importdump"
	"cloakroom.dev/auth-svc/internal/foreignhash"
	"cloakroom.dev/auth-svc/internal/identity"
	"cloakroom.dev/libs/sqldump"
)

func sample(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../../../../../docs/samples", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func people(t *testing.T, system, dump string, opts importdump.Options) (all []identity.Incoming, err error) {
	t.Helper()
	p, err := importdump.Open(system, strings.NewReader(dump), opts)
	for err == nil {
		var in identity.Incoming
		if in, err = p.Next(); err == nil {
			all = append(all, in)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

// told is a person in one line.
func told(in identity.Incoming) string {
	created := ""
	if !in.CreatedAt.IsZero() {
		created = in.CreatedAt.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("%d %s|%s|%s|%s|%s|%t|%s|%v|%s", in.InDump, in.ID, in.Email, in.Phone, in.Username, in.Name, in.EmailVerified, in.Status, in.Roles, created)
}

func TestOpen_ReadsTheSamples(t *testing.T) {
	siteworks := []string{
		"%d clx0000000001|john.doe@siteworks.example|||John Doe|true||[]|2024-01-01T00:00:00Z",
		"%d clx0000000002|jane.o'neil@siteworks.example|||Jane \"J\" O'Neil|false||[]|2024-02-29T23:59:59.123Z",
		"%d clx0000000003|gone@siteworks.example||||true|blocked|[]|2024-02-01T00:00:00Z",
	}
	for _, c := range []struct {
		system, path string
		passwords    []string
		want         []string
	}{
		{"rest-auth-files", "rest-auth-files/dump.sql", []string{"correct horse", "battery staple"}, []string{
			"%d ada@example.org|ada@example.org||||false||[]|2024-05-01T12:00:00Z", "%d +442071838750||+442071838750|||false||[]|2024-05-02T12:00:00Z",
		}},
		{"siteworks", "siteworks/dump.sql", []string{"SecurePass123!", "OldPass123!", "OldPass123!"}, siteworks},
		{"siteworks", "siteworks/dump-inserts.sql", []string{"SecurePass123!", "OldPass123!", "OldPass123!"}, siteworks},
		{"trackit", "trackit/dump.sql", []string{"securepassword", "another password", "another password"}, []string{
			"%d 1|john@example.com||johndoe||false||[]|", "%d 2|mary@example.com||mary||false||[]|", "%d 3|john@example.com||twin||false||[]|",
		}},
		{"user-management", "user-management/users.json", []string{"correct horse", "battery staple", "correct horse"}, []string{
			"%d 64f0c2a91b2d3e4f5a6b7c01|||ada||false||[guest]|2023-09-01T08:00:00Z",
			"%d 64f0c2a91b2d3e4f5a6b7c02|||bob||false|blocked|[guest]|2023-10-01T08:00:00Z",
			"%d 64f0c2a91b2d3e4f5a6b7c03|||root||false||[admin guest]|2023-09-01T08:00:00Z",
		}},
	} {
		t.Run(c.path, func(t *testing.T) {
			all, err := people(t, c.system, sample(t, c.path), importdump.Options{})
			if err != nil || len(all) != len(c.want) {
				t.Fatalf("%d people, %v", len(all), err)
			}
			for i, in := range all {
				if diff := cmp.Diff(fmt.Sprintf(c.want[i], in.InDump), told(in)); diff != "" || len(in.Bad) > 0 || in.InDump < 1 {
					t.Errorf("%v, person (-want +got):\n%s", in.Bad, diff)
				}
				opens(t, in, c.passwords[i])
			}
		})
	}
}

func opens(t *testing.T, in identity.Incoming, password string) {
	t.Helper()
	h, err := foreignhash.New(in.Password)
	if err != nil {
		t.Fatal(err)
	}
	for try, want := range map[string]bool{password: true, password + "!": false} {
		if ok, err := h.Check(try); ok != want || err != nil {
			t.Errorf("%q opens the account of %s: %t, %v", try, in.ID, ok, err)
		}
	}
}

func TestParseHash_TellsHowTheHashesWereMade(t *testing.T) {
	scrypt, pbkdf2 := sample(t, "user-management/users.json"), sample(t, "user-management/users-pbkdf2.json")
	const sha256 = "ebe0b84199dd96951fabdf249f57e0a0119f53df101234217852fe575df7f79a47c9163737838f54a03f9269b95010bfdb4a2cbe76676156ae5f306538ad40c3"
	const sha512 = "8c776c055bab2c5a315c627fc4274e6f4ffc325bf3511569592e508d9d45770906deeca0217d3a7f5e6f1a83bf89f282518ba5d6774971f24f4a382c2456c320"
	for _, c := range []struct{ spec, dump string }{
		{"scrypt", scrypt}, {"scrypt,n=16384,r=8,p=1,salt=text,encoding=hex", scrypt},
		{"pbkdf2,digest=sha512,iterations=100000", pbkdf2},
		{"pbkdf2,digest=sha256,iterations=100000", strings.Replace(pbkdf2, sha512, sha256, 1)},
	} {
		h, err := importdump.ParseHash(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		all, err := people(t, "user-management", c.dump, importdump.Options{Hash: h})
		if err != nil || len(all) == 0 {
			t.Fatalf("%d people, %v", len(all), err)
		}
		opens(t, all[0], "correct horse")
	}
	for _, spec := range []string{"", "md5", "pbkdf2", "pbkdf2,digest=sha1", "pbkdf2,n=2", "scrypt,n=many", "scrypt,digest=sha1", "scrypt,pepper=x", "scrypt,salt="} {
		if _, err := importdump.ParseHash(spec); err == nil {
			t.Errorf("%q is taken for a hash", spec)
		}
	}
}

func TestNext_RefusesOnePersonAndGoesOn(t *testing.T) {
	mongo := func(line string) string {
		return "\xef\xbb\xbf" + line + "\r\n\n" + `{"_id": "next", "username": "next"}`
	}
	table := "CREATE TABLE users (id text, email text, name text, password text, isActive boolean, createdAt timestamp);\n"
	site := func(values string) string {
		return table + "INSERT INTO users VALUES (" + values + ");\nINSERT INTO users (id) VALUES ('next');"
	}
	for name, c := range map[string]struct{ system, dump, field, says string }{
		"two names":         {"user-management", mongo(`{"username": "a", "username": "b"}`), "line", "twice"},
		"no JSON":           {"user-management", mongo(`{"username": `), "line", "JSON"},
		"a number":          {"user-management", mongo(`7`), "line", "object"},
		"broken UTF-8":      {"user-management", mongo("{\"username\": \"\xff\"}"), "line", "UTF-8"},
		"roles in a text":   {"user-management", mongo(`{"roles": "admin"}`), "roles", "user-management"},
		"a number for name": {"user-management", mongo(`{"username": {"$numberInt": "7"}}`), "username", "user-management"},
		"no time":           {"user-management", mongo(`{"created_at": {"$date": {"$numberLong": "9223372036854775807"}}}`), "created_at", "time"},
		"10 MB":             {"user-management", mongo(`{"username": "` + strings.Repeat("x", 10<<20) + `"}`), "line", "at most"},
		"a function":        {"siteworks", site(`'1', lower('A@B'), 'n', 'p', true, NULL`), "email", "plain value"},
		"a long value":      {"siteworks", site(`'1', 'a', '` + strings.Repeat("x", 1<<20) + `', 'p', true, NULL`), "name", "too long"},
		"no boolean":        {"siteworks", site(`'1', 'a', 'n', 'p', 'maybe', NULL`), "status", "neither"},
		"no moment":         {"siteworks", site(`'1', 'a', 'n', 'p', true, 'yesterday'`), "created_at", "time"},
		"bytes":             {"siteworks", site("'1', 'a', '\xff', 'p', true, NULL"), "name", "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := people(t, c.system, c.dump, importdump.Options{})
			if err != nil || len(all) != 2 || all[1].ID != "next" || len(all[1].Bad) > 0 {
				t.Fatalf("%+v, %v", all, err)
			}
			if bad := all[0].Bad; len(bad) != 1 || bad[0].Field != c.field || !strings.Contains(bad[0].Detail, c.says) {
				t.Errorf("refused for %+v", bad)
			}
		})
	}
}

func TestNext_EndsWithALineWhereADumpMakesNoSense(t *testing.T) {
	cut := sample(t, "rest-auth-files/dump.sql")
	cut = cut[:strings.Index(cut, "'2024-05-02")]
	for name, c := range map[string]struct{ system, dump, says string }{
		"cut":        {"rest-auth-files", cut, fmt.Sprintf("line %d of the dump", strings.Count(cut, "\n")+1)},
		"an array":   {"user-management", "[\n{}\n]", "--jsonArray"},
		"no people":  {"trackit", "PRAGMA foreign_keys=OFF;\n", "no table users"},
		"the wrong":  {"siteworks", sample(t, "rest-auth-files/dump.sql"), "dump of MySQL"},
		"nobody":     {"medods", "", "sessions end"},
		"no system":  {"keycloak", "", "rest-auth-files, user-management"},
		"a database": {"trackit", "SQLite format 3\x00", "sqlite3 DATABASE .dump"},
	} {
		if _, err := people(t, c.system, c.dump, importdump.Options{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSkip_KnowsTheSamePeopleAgain(t *testing.T) {
	dump := sample(t, "trackit/dump.sql")
	all, err := people(t, "trackit", dump, importdump.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		dump string
		to   identity.ImportCursor
		same bool
	}{
		{dump, identity.ImportCursor{}, true}, {dump, all[1].End, true}, {dump, all[2].End, true},
		{dump + "INSERT INTO users VALUES(4,'new','new@example.com','x');\n", all[2].End, true},
		{strings.Replace(dump, "mary@", "anna@", 1), all[0].End, true}, {strings.Replace(dump, "mary@", "anna@", 1), all[2].End, false},
		{strings.Replace(dump, "INSERT INTO users VALUES(3", "INSERT INTO others VALUES(3", 1), all[2].End, false},
	} {
		p, err := importdump.Open("trackit", strings.NewReader(c.dump), importdump.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if same, err := p.Skip(c.to); same != c.same || err != nil {
			t.Errorf("to %d: the same %t, %v; want %t", c.to.Lines, same, err, c.same)
		}
	}
	var bad *sqldump.Error
	if _, err := people(t, "trackit", strings.Replace(dump, "'mary'", "'mary", 1), importdump.Options{}); !errors.As(err, &bad) {
		t.Errorf("an open quote: %v", err)
	}
}
