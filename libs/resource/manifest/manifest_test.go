package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const route = `apiVersion: cloakroom.dev/v1alpha1
kind: Route
metadata:
  name: files
spec:
  rules:
  - auth:
      anonymous: {reason: because}
    backends:
    - name: files
  - matches:
    - path:
        value: /x
`

func told(documents []*Document) []string {
	var all []string
	for _, d := range documents {
		line := fmt.Sprintf("%s:%d %s/%s", d.File, d.Line, d.Kind, d.Name)
		if d.Problem != nil {
			line += " | " + d.Problem.String()
		}
		all = append(all, line)
	}
	return all
}

func TestParse(t *testing.T) {
	policy := strings.NewReplacer("Route", "StoragePolicy", "files", "p").Replace("apiVersion: cloakroom.dev/v1alpha1\nkind: Route\nmetadata: {name: files}\nspec: {}\n")
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"only comments and empty documents", "# a\n---\n---\n# b\n---\nnull\n", nil},
		{"one", route, []string{"f:1 Route/files"}},
		{"comments before", "# a\n\n" + route, []string{"f:3 Route/files"}},
		{"several", route + "--- # next\n\n" + policy, []string{"f:1 Route/files", "f:16 StoragePolicy/p"}},
		{"byte order mark and CRLF", "\xef\xbb\xbf" + strings.ReplaceAll(route+"---\n"+policy, "\n", "\r\n"), []string{"f:1 Route/files", "f:15 StoragePolicy/p"}},
		{"JSON", `{"apiVersion": "cloakroom.dev/v1alpha1", "kind": "Route", "metadata": {"name": "a"}, "spec": {}}`, []string{"f:1 Route/a"}},
		{"a bad one hides no other", "a: [\n---\n" + route, []string{"f:1 / | f:1: not YAML: did not find expected node content", "f:3 Route/files"}},
		{"line of a mistake", policy + "---\nkind: Route\n  metadata: x\n", []string{"f:1 StoragePolicy/p", "f:7 / | f:7: not YAML: mapping values are not allowed in this context"}},
		{"a key twice", policy + "---\n" + policy + "spec: {}\n", []string{"f:1 StoragePolicy/p", `f:10 StoragePolicy/p | f:10: StoragePolicy/p: key "spec" already set in map`}},
		{"a list", "- a\n", []string{"f:1 / | f:1: not an object: a document is apiVersion, kind, metadata and spec"}},
		{"other version", strings.Replace(route, "v1alpha1", "v1", 1), []string{`f:1 Route/files | f:1: Route/files: apiVersion: "cloakroom.dev/v1" is not cloakroom.dev/v1alpha1`}},
		{"other kind", strings.Replace(route, "Route", "Rout", 1), []string{`f:1 Rout/files | f:2: kind: no kind "Rout" in cloakroom.dev/v1alpha1`}},
		{"no name", strings.Replace(route, "name: files", "name: 7", 1), []string{`f:1 Route/ | f:4: metadata.name: Required value: an object needs a name, a string`}},
		{"a name that is a path", strings.Replace(route, "name: files", "name: ../../etc/x", 1), []string{`f:1 Route/ | f:4: metadata.name: Invalid value: "../../etc/x": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`}},
		{"no metadata", "apiVersion: cloakroom.dev/v1alpha1\nkind: Route\n", []string{`f:1 Route/ | f:1: metadata.name: Required value: an object needs a name, a string`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, told(Parse("f", []byte(c.text)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFind_Line(t *testing.T) {
	d := Parse("f", []byte("# first\n---\n"+route))[0]
	for field, want := range map[string]int{
		"":                                    3,
		"metadata.name":                       6,
		"spec":                                7,
		"spec.rules[0].auth":                  9,
		"spec.rules[0].auth.anonymous.reason": 10,
		"spec.rules[0].backends[0].weight":    12, // missing: the item it is missing from
		"spec.rules[1].matches[0].path.value": 15,
		"spec.rules[1].auth":                  13,
		"spec.rules[7]":                       8,
		"spec.rules[x].y":                     8,
		"nowhere.at[all":                      3,
		"metadata.labels[a.b/c]":              5,
	} {
		if got := d.Find(field, "").Line; got != want {
			t.Errorf("line of %q is %d, want %d", field, got, want)
		}
	}
}

func TestParse_AliasesDontExplode(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: cloakroom.dev/v1alpha1\nkind: Route\nmetadata: {name: a}\nspec:\n  a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	d := Parse("f", []byte(b.String()))
	if len(d) != 1 || d[0].Problem == nil || !strings.Contains(d[0].Problem.Message, "excessive aliasing") {
		t.Errorf("got %v, want a refusal for excessive aliasing", told(d))
	}
}

func TestParse_StopsAtItsBound(t *testing.T) {
	all := Parse("f", []byte(strings.Repeat(route+"---\n", MaxDocuments+2)))
	if last := all[len(all)-1]; len(all) != MaxDocuments+1 || last.Problem == nil {
		t.Errorf("%d documents, the last %v", len(all), last.Problem)
	}
}

// FuzzParse holds that whatever the bytes, parsing ends, and each document is either an object with a name or a problem
// with a line inside the file.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", route, route + "---\n" + route, "a: [\n---\n", "- a", "? [x]\n: y", "a: &a [*a]", "{\"a\": 1}", "%YAML 9.9\n---\n", "!!binary x", "<<: {a: 1}", "a: 1e400", "\t"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := strings.Count(string(text), "\n") + strings.Count(string(text), "\r") + 2
		for _, d := range Parse("f", text) {
			switch {
			case d.Problem == nil && (d.Raw == nil || !d.Known()):
				t.Fatalf("neither object nor problem: %+v", d)
			case d.Problem != nil && (d.Problem.Line < 1 || d.Problem.Line > lines):
				t.Fatalf("problem at line %d of %d: %s", d.Problem.Line, lines, d.Problem)
			}
			if line := d.Find("spec.rules[0].x", "").Line; line < 1 || line > lines {
				t.Fatalf("line %d of %d", line, lines)
			}
		}
	})
}
