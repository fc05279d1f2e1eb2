// Package helm runs the pinned helm, which is built by the Go tool from the module's tool lines and cached by it.
package helm

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// tools are the paths that were looked up: asking the Go tool takes a second or more, even when nothing is to be built.
var tools struct {
	sync.Mutex
	paths map[string]string
}

// Tool is the path of one of the module's tools, built when it is not yet. root is the repository.
func Tool(root, name string) (string, error) {
	tools.Lock()
	defer tools.Unlock()
	if path, ok := tools.paths[name]; ok {
		return path, nil
	}
	out, err := command(filepath.Join(root, "charts"), "go", "tool", "-n", name)
	if err != nil {
		return "", err
	}
	if tools.paths == nil {
		tools.paths = map[string]string{}
	}
	tools.paths[name] = strings.TrimSpace(string(out))
	return tools.paths[name], nil
}

// Template renders the chart as release cloakroom in namespace cloakroom, for a cluster that has the CRDs.
func Template(root string, args ...string) ([]byte, error) {
	tool, err := Tool(root, "helm")
	if err != nil {
		return nil, err
	}
	return command(filepath.Join(root, "charts"), tool, append([]string{"template", "cloakroom", "cloakroom", "--namespace", "cloakroom", "--api-versions", "cloakroom.dev/v1alpha1/Route"}, args...)...)
}

// Lint is `helm lint --strict`.
func Lint(root string, args ...string) error {
	tool, err := Tool(root, "helm")
	if err != nil {
		return err
	}
	_, err = command(filepath.Join(root, "charts"), tool, append([]string{"lint", "--strict", "cloakroom"}, args...)...)
	return err
}

// Object is one rendered object.
type Object map[string]any

// Kind of the object.
func (o Object) Kind() string { s, _ := o["kind"].(string); return s }

// Name of the object.
func (o Object) Name() string {
	meta, _ := o["metadata"].(map[string]any)
	s, _ := meta["name"].(string)
	return s
}

// Parse reads the objects of a stream.
func Parse(stream []byte) (all []Object, err error) {
	for _, text := range strings.Split("\n"+string(stream), "\n---") {
		var o map[string]any // and no Object: the decoder would make every map inside one too
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, text)
		}
		if len(o) > 0 {
			all = append(all, o)
		}
	}
	return all, nil
}

func command(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...) //nolint:gosec // our own tools
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "HELM_NO_PLUGINS=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", filepath.Base(name), err, errs.String(), out.String())
	}
	return out.Bytes(), nil
}
