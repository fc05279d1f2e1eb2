// Command crdrevision numbers the schemas of the CRDs, as a step of `make generate` after controller-gen:
//
//	crdrevision HISTORY CRD.yaml…
//
// HISTORY has a line for each schema there has been: kind, revision, digest. A CRD whose schema is not its kind's last gets the next
// revision and a line; each CRD gets its revision as the annotation that k8s/policy compares. So nobody has to remember to
// raise it. Words that only describe don't count: an older CRD with other words refuses nothing.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

const annotation = "cloakroom.dev/schema-revision"

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: crdrevision HISTORY CRD.yaml…")
		os.Exit(2)
	}
	if err := number(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "crdrevision:", err)
		os.Exit(1)
	}
}

func number(path string, crds []string) error {
	raw, err := os.ReadFile(path) //nolint:gosec // the Makefile says which
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	history, err := parse(string(raw))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, crd := range crds {
		text, err := os.ReadFile(crd) //nolint:gosec // likewise
		if err != nil {
			return err
		}
		numbered, err := history.number(text)
		if err != nil {
			return fmt.Errorf("%s: %w", crd, err)
		}
		if err := os.WriteFile(crd, numbered, 0o644); err != nil { //nolint:gosec // a file of the repository, for everybody
			return err
		}
	}
	return os.WriteFile(path, []byte(history.text), 0o644) //nolint:gosec // likewise
}

// history is the file, and the last schema of each kind in it.
type history struct {
	text string
	last map[string]schema
}

type schema struct {
	revision int
	digest   string
}

func parse(text string) (*history, error) {
	h := &history{text: text, last: map[string]schema{}}
	for line := range strings.Lines(text) {
		var kind string
		var s schema
		if n, err := fmt.Sscan(line, &kind, &s.revision, &s.digest); n != 3 {
			return nil, fmt.Errorf("%q is no line of KIND REVISION DIGEST: %w", line, err)
		}
		if s.revision != h.last[kind].revision+1 {
			return nil, fmt.Errorf("%s: revision %d follows %d", kind, s.revision, h.last[kind].revision)
		}
		h.last[kind] = s
	}
	return h, nil
}

// number returns the CRD with its revision, and adds a line when its schema is a new one.
func (h *history) number(crd []byte) ([]byte, error) {
	kind, sum, err := digest(crd)
	if err != nil {
		return nil, err
	}
	s := h.last[kind]
	if s.digest != sum {
		s = schema{s.revision + 1, sum}
		h.last[kind] = s
		h.text += fmt.Sprintf("%s %d %s\n", kind, s.revision, s.digest)
	}
	before, after, found := strings.Cut(string(crd), "\n  annotations:\n")
	if !found {
		return nil, errors.New("no annotations, which controller-gen always writes")
	}
	if old, rest, _ := strings.Cut(after, "\n"); strings.Contains(old, annotation) {
		after = rest
	}
	return fmt.Appendf(nil, "%s\n  annotations:\n    %s: %q\n%s", before, annotation, fmt.Sprint(s.revision), after), nil
}

// digest is of everything in a CRD that decides what is let in, kept or shown.
func digest(crd []byte) (kind, sum string, err error) {
	var object struct {
		Spec struct {
			Names struct {
				Kind string `json:"kind"`
			} `json:"names"`
			Versions any `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(crd, &object); err != nil {
		return "", "", err
	}
	if object.Spec.Names.Kind == "" || object.Spec.Versions == nil {
		return "", "", errors.New("not a CustomResourceDefinition with a kind and versions")
	}
	canonical, err := json.Marshal(plain(object.Spec.Versions))
	hashed := sha256.Sum256(canonical)
	return object.Spec.Names.Kind, hex.EncodeToString(hashed[:16]), err
}

// plain leaves out descriptions. A property may have the name description; its value is a schema and no text.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		kept := map[string]any{}
		for name, v := range value {
			if _, text := v.(string); name != "description" || !text {
				kept[name] = plain(v)
			}
		}
		return kept
	case []any:
		kept := make([]any, len(value))
		for i, v := range value {
			kept[i] = plain(v)
		}
		return kept
	default:
		return value
	}
}
