package crdsource

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestFilledIn(t *testing.T) {
	const (
		writer = `{"f:metadata": {"f:labels": {}}, "f:spec": {"f:quota": {}, "f:whole": {}, "f:empty": {".": {}},
			"f:rules": {"k:{\"name\":\"x\"}": {".": {}, "f:name": {}, "f:own": {}}}}}`
		status = `{"f:status": {"f:conditions": {}}}`
	)
	for _, c := range []struct {
		path string
		sets []string
		want bool
	}{
		{"spec.later", []string{writer, status}, true},
		{"spec.later.on", []string{writer, status}, true},
		{"spec.empty.later", []string{writer}, true},
		{"spec.rules[0].later", []string{writer}, true},
		{"spec.rules[7].later[1].deep", []string{writer}, true},
		{"spec.quota", []string{status, writer}, false},
		{"spec.whole.later", []string{writer}, false}, // written as one, whatever is in it
		{"spec.rules[0].own", []string{writer}, false},
		{"spec.later", []string{status}, true},
		{"spec.later", []string{"{}"}, true},
		{"spec.later", nil, false}, // nobody knows who wrote what
		{"spec.later", []string{writer, "not a set"}, false},
	} {
		o := &unstructured.Unstructured{Object: map[string]any{}}
		var managers []metav1.ManagedFieldsEntry
		for _, set := range c.sets {
			managers = append(managers, metav1.ManagedFieldsEntry{Manager: "m", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(set)})
		}
		o.SetManagedFields(managers)
		if len(managers) > 0 && len(o.GetManagedFields()) != len(managers) { // what can't be decoded is lost on the way: nobody knows then
			if filledIn(o)(c.path) {
				t.Errorf("%s with %s: filled in", c.path, c.sets)
			}
			continue
		}
		if got := filledIn(o)(c.path); got != c.want {
			t.Errorf("%s with %s: %v", c.path, c.sets, got)
		}
	}
}
