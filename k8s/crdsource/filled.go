package crdsource

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// filledIn returns what reports whether the API server has filled in the field at a path, and nobody has written it: a default of a
// CRD. That of a later release has defaults for fields this program doesn't know, in objects that were written before there
// were such fields; without this nobody could go back to a release once the CRDs of the next are in.
//
// Whose a field is stands in metadata.managedFields (kubernetes.io, "Server-Side Apply"). Where that was taken away, everything counts
// as written, as does what a create under the later CRDs was given.
func filledIn(o *unstructured.Unstructured) func(path string) bool {
	return func(path string) bool {
		managers := o.GetManagedFields()
		for _, m := range managers {
			if m.FieldsV1 == nil {
				continue
			}
			var fields map[string]any
			if json.Unmarshal(m.FieldsV1.GetRawBytes(), &fields) != nil || len(fields) > 0 && owns(fields, steps(path)) {
				return false
			}
		}
		return len(managers) > 0
	}
}

// element is a step into a list. Which element it is does not matter here: the sets name them by their keys.
const element = "["

// steps parts spec.rules[0].auth into spec, rules, an element and auth.
func steps(path string) []string {
	var all []string
	for _, name := range strings.Split(path, ".") {
		name, index, indexed := strings.Cut(name, "[")
		all = append(all, name)
		if indexed {
			for range strings.Count(index, "]") {
				all = append(all, element)
			}
		}
	}
	return all
}

// owns reports whether a set of fields has the field, or something above it as a whole.
func owns(set map[string]any, path []string) bool {
	if len(path) == 0 || len(set) == 0 {
		return true
	}
	for name, child := range set {
		of, _ := child.(map[string]any)
		if name != "." && is(name, path[0]) && owns(of, path[1:]) {
			return true
		}
	}
	return false
}

// is reports whether a member of a set is the step: f:name is a field; what begins otherwise is an element of a list.
func is(member, step string) bool {
	if step == element {
		return !strings.HasPrefix(member, "f:")
	}
	return member == "f:"+step
}
