package check

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
	"cloakroom.dev/libs/run"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files")

// call runs the command as a program would and returns its exit code.
func call(t *testing.T, stdin string, rules []Rules, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	io := run.IO{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs}
	code = run.Dispatch(t.Context(), "gateway", "test", append([]string{"check"}, args...), io, Command(rules...))
	return code, out.String(), errs.String()
}

const good = "apiVersion: cloakroom.dev/v1alpha1\nkind: StoragePolicy\nmetadata: {name: a}\nspec:\n  quota: 10Gi\n"

func TestCheck_Messages(t *testing.T) {
	code, out, errs := call(t, "", nil, "testdata/bad")
	if code != run.ExitFailure {
		t.Errorf("exit code %d", code)
	}
	const golden = "testdata/bad.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out, "\n")); diff != "" {
		t.Errorf("messages changed (refresh with -update): %s", diff)
	}
	if !strings.Contains(errs, "0 resources accepted, ") {
		t.Errorf("stderr %q", errs)
	}
}

func TestCheck_Good(t *testing.T) {
	for _, path := range []string{"../../../stack/config", "../../../k8s/samples", "../../../k8s/samples/dialects", "../../../k8s/samples/route.yaml"} {
		if code, out, errs := call(t, "", nil, path); code != run.ExitOK || out != "" || !strings.HasSuffix(errs, "accepted, 0 problems\n") {
			t.Errorf("%s: exit code %d\n%s%s", path, code, out, errs)
		}
	}
	if code, _, errs := call(t, good, nil, "-"); code != run.ExitOK || errs != "1 resources accepted, 0 problems\n" {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

func TestCheck_JSON(t *testing.T) {
	code, out, _ := call(t, strings.Replace(good, "10Gi", "ten", 1), nil, "--output", "json", "-")
	var got Result
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != run.ExitFailure {
		t.Fatal(code, err, out)
	}
	if len(got.Findings) == 0 {
		t.Fatal(out)
	}
	f := got.Findings[len(got.Findings)-1]
	if f.File != "stdin" || f.Line != 5 || f.Kind != "StoragePolicy" || f.Name != "a" || f.Field != "spec.quota" || f.Message == "" {
		t.Errorf("%+v", f)
	}
	if code, out, _ = call(t, good, nil, "--output=json", "-"); code != run.ExitOK || !strings.Contains(out, `"findings": []`) {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestCheck_RulesOfTheService(t *testing.T) {
	rule := func(s *resource.Snapshot) []resource.Finding {
		var all []resource.Finding
		for _, p := range resource.All[*v1alpha1.StoragePolicy](s) {
			all = append(all, resource.Finding{Kind: "StoragePolicy", Name: p.Name, Field: "spec.quota", Message: "too generous"})
		}
		return append(all, resource.Finding{Message: "no Route at all"})
	}
	code, out, _ := call(t, good, []Rules{rule}, "-")
	if want := "stdin:5: StoragePolicy/a: spec.quota: too generous\nno Route at all\n"; code != run.ExitFailure || out != want {
		t.Errorf("exit code %d, got\n%swant\n%s", code, out, want)
	}
}

func TestCheck_Usage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, run.ExitUsage},
		{[]string{"a", "b"}, run.ExitUsage},
		{[]string{"--output", "xml", "a"}, run.ExitUsage},
		{[]string{"--nonsense"}, run.ExitUsage},
		{[]string{"testdata/none"}, run.ExitFailure},
		{[]string{t.TempDir()}, run.ExitFailure},
		{[]string{"--help"}, run.ExitOK},
	} {
		if code, out, errs := call(t, "", nil, c.args...); code != c.want || out+errs == "" {
			t.Errorf("check %v: exit code %d, want %d; %q %q", c.args, code, c.want, out, errs)
		}
	}
}
