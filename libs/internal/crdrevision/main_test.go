package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const crd = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  annotations:
    controller-gen.kubebuilder.io/version: v0
  name: things.example.org
spec:
  names: {kind: Thing}
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        description: A thing.
        properties:
          description: {type: string, maxLength: 10}
`

func TestNumber_RisesWithTheSchemaAndOnlyThen(t *testing.T) {
	h, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	text := crd
	for _, step := range []struct{ old, changed, revision string }{
		{"", "", "1"},
		{"A thing.", "A thing, in other words.", "1"},
		{"maxLength: 10", "maxLength: 11", "2"},
		{"description: {type", "note: {type", "3"},
		{"- name: v1\n", "- name: v1\n    served: true\n", "4"},
		{"    served: true\n", "", "5"}, // what there was before comes after what there is
	} {
		text = strings.Replace(text, step.old, step.changed, 1)
		out, err := h.number([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if want := "  annotations:\n    cloakroom.dev/schema-revision: \"" + step.revision + "\"\n    controller-gen"; !strings.Contains(string(out), want) {
			t.Errorf("after %q: no revision %s in\n%s", step.changed, step.revision, out)
		}
		if again, err := h.number(out); err != nil || string(again) != string(out) {
			t.Errorf("a second time: %v\n%s", err, again)
		}
		if read, err := parse(h.text); err != nil || read.last["Thing"] != h.last["Thing"] {
			t.Errorf("the history reads as %v, %v", read, err)
		}
	}
}

func TestParse_RefusesHistoriesThatWereBent(t *testing.T) {
	for _, text := range []string{"Thing\n", "Thing one abc\n", "Thing 2 abc\n", "Thing 1 abc\nThing 1 def\n", "Thing 1 abc\nThing 3 def\n", "\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

// What is committed is what would be made of it: nobody changes a schema without the number.
func TestCRDs_CarryTheRevisionOfTheirSchema(t *testing.T) {
	folder := "../../api/v1alpha1/"
	raw, err := os.ReadFile(folder + "revisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	h, err := parse(string(raw))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(folder + "crds/*.yaml")
	if err != nil || len(paths) != len(h.last) {
		t.Errorf("%d CRDs, %d kinds with a history, %v", len(paths), len(h.last), err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := h.number(text); err != nil || string(out) != string(text) {
			t.Errorf("%s is not as it would be numbered: make generate (%v)", filepath.Base(path), err)
		}
	}
	if h.text != string(raw) {
		t.Error("there are schemas without a line in the history: make generate")
	}
}
