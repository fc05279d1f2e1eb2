// Package charts holds the tests of the charts. They need no cluster: helm renders, and what it renders is judged by the
// published types of Kubernetes, by Pod Security's own checks, by the services' own `check`, and by kustomize.
package charts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"cloakroom.dev/charts/internal/helm"
	"cloakroom.dev/charts/internal/made"
)

const root = ".."

// each runs a test on what the chart renders for each file of values in ci.
func each(t *testing.T, test func(t *testing.T, values string, objects []helm.Object)) {
	t.Helper()
	// The chart is rendered by another process: without this the Go tool would keep results whatever becomes of it. `make` sets the variable.
	_ = os.Getenv("TESTED_TREE")
	all, err := filepath.Glob("cloakroom/ci/*-values.yaml")
	if err != nil || len(all) < 3 {
		t.Fatalf("%d files of values, %v", len(all), err)
	}
	for _, values := range all {
		t.Run(strings.TrimSuffix(filepath.Base(values), "-values.yaml"), func(t *testing.T) {
			text, err := helm.Template(root, "--values", values)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := helm.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			test(t, values, objects)
		})
	}
}

func TestMadeFilesAreAsTheyWouldBeMade(t *testing.T) {
	files, err := made.All(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if have, err := os.ReadFile(filepath.Join(root, name)); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s differs from what it is made of: make generate (%v)", name, err)
		}
	}
	for _, folder := range []string{"charts/cloakroom/files", "k8s/base", "k8s/overlays", "k8s/samples/dialects"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if name, _ := filepath.Rel(root, path); files[name] == nil {
				t.Errorf("%s is made of nothing: remove it", name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestLint(t *testing.T) {
	each(t, func(t *testing.T, values string, _ []helm.Object) {
		if err := helm.Lint(root, "--values", values); err != nil {
			t.Error(err)
		}
	})
}

func TestSuites(t *testing.T) {
	tool, err := helm.Tool(root, "helm-unittest")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tool, "cloakroom").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Test Suites:")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// With the chart's own thresholds its rules are those that promtool has tried.
func TestRulesAreThoseThatAreTried(t *testing.T) {
	text, err := helm.Template(root, "--values", "cloakroom/ci/production-values.yaml", "--set", "monitoring.rules.enabled=true")
	if err != nil {
		t.Fatal(err)
	}
	objects, err := helm.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	tried, err := os.ReadFile(filepath.Join(root, "k8s/alerts/prometheusrule.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := helm.Parse(tried)
	if err != nil || len(want) != 1 {
		t.Fatal(want, err)
	}
	for _, o := range objects {
		if o.Kind() == "PrometheusRule" {
			if !reflect.DeepEqual(o["spec"], want[0]["spec"]) {
				t.Error("the thresholds of values.yaml and of k8s/observe/alerts/thresholds.yaml differ")
			}
			return
		}
	}
	t.Error("there are no rules")
}

// The overlays are what the chart renders, object for object, by the way kustomize reads them.
func TestOverlaysAreTheChart(t *testing.T) {
	for _, overlay := range made.Overlays {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "k8s/overlays", overlay))
		if err != nil {
			t.Fatal(err)
		}
		text, err := built.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		have, err := helm.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		want, err := made.WithoutHelm(root, overlay)
		if err != nil {
			t.Fatal(err)
		}
		if len(have) != len(want) {
			t.Errorf("%s: %d objects, the chart renders %d", overlay, len(have), len(want))
		}
		for _, o := range want {
			if !contains(have, o) {
				t.Errorf("%s: %s %s is not as the chart renders it", overlay, o.Kind(), o.Name())
			}
		}
	}
}

func contains(all []helm.Object, o helm.Object) bool {
	for _, other := range all {
		if reflect.DeepEqual(other, o) {
			return true
		}
	}
	return false
}

// The images that the chart asks for when it is told none are those that `make images` makes.
func TestImagesAreTheOnesWeMake(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "make", "--dry-run", "images")
	cmd.Dir = root
	recipe, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, tag, _ := strings.Cut(strings.TrimSpace(string(recipe)), " -tag ")
	tag, _, _ = strings.Cut(tag, " ")
	source, err := os.ReadFile(filepath.Join(root, "stack/images/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := helm.Template(root, "--values", "cloakroom/ci/trial-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`image: "?cloakroom/(\S+):([^"\s]+)"?`).FindAllStringSubmatch(string(text), -1) {
		seen[m[1]] = true
		if m[2] != tag || !strings.Contains(string(source), `{"`+m[1]+`", `) {
			t.Errorf("the chart asks for %s:%s, and we make the tag %s", m[1], m[2], tag)
		}
	}
	if len(seen) != 3 {
		t.Errorf("the chart asks for %v", seen)
	}
}
