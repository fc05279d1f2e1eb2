package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/resource"
)

// resourceChange is a resource that is new, gone or another.
type resourceChange struct {
	Change   string        `json:"change"`
	Resource string        `json:"resource"` // Kind/name
	Fields   []fieldChange `json:"fields,omitempty"`
}

// fieldChange is one value of a spec, as JSON; "none" where there is none.
type fieldChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

const none = "none"

// resourceChanges compares specs, defaults filled in. Resources that are mentioned but not in the wanted snapshot were
// refused, which is told as such and not as a removal.
func resourceChanges(before, wanted *resource.Snapshot, mentioned map[string]bool) []resourceChange {
	old, next := specs(before), specs(wanted)
	var all []resourceChange
	for id, from := range old {
		to, still := next[id]
		switch fields := fieldChanges(from, to); {
		case !still && !mentioned[id]:
			all = append(all, resourceChange{Change: removed, Resource: id})
		case still && len(fields) > 0:
			all = append(all, resourceChange{changed, id, fields})
		}
	}
	for id := range next {
		if _, known := old[id]; !known {
			all = append(all, resourceChange{Change: added, Resource: id})
		}
	}
	slices.SortFunc(all, func(a, b resourceChange) int { return strings.Compare(a.Resource, b.Resource) })
	return all
}

func fieldChanges(from, to map[string]string) []fieldChange {
	var all []fieldChange
	for field, value := range from {
		if other, ok := to[field]; !ok {
			all = append(all, fieldChange{field, value, none})
		} else if other != value {
			all = append(all, fieldChange{field, value, other})
		}
	}
	for field, value := range to {
		if _, ok := from[field]; !ok {
			all = append(all, fieldChange{field, none, value})
		}
	}
	slices.SortFunc(all, func(a, b fieldChange) int { return strings.Compare(a.Field, b.Field) })
	return all
}

// specs flattens the spec of every resource the gateway uses to field paths and values.
func specs(s *resource.Snapshot) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, o := range resource.All[*v1alpha1.GatewayConfig](s) {
		all[v1alpha1.KindGatewayConfig+"/"+o.Name] = flat(o.Spec)
	}
	for _, o := range resource.All[*v1alpha1.Route](s) {
		all[v1alpha1.KindRoute+"/"+o.Name] = flat(o.Spec)
	}
	for _, o := range resource.All[*v1alpha1.TokenPolicy](s) {
		all[v1alpha1.KindTokenPolicy+"/"+o.Name] = flat(o.Spec)
	}
	for _, o := range resource.All[*v1alpha1.RateLimitPolicy](s) {
		all[v1alpha1.KindRateLimitPolicy+"/"+o.Name] = flat(o.Spec)
	}
	return all
}

func flat(spec any) map[string]string {
	text, err := json.Marshal(spec)
	if err != nil {
		return map[string]string{"spec": err.Error()} // plain structs of strings and numbers: can't happen
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return map[string]string{"spec": err.Error()}
	}
	values := map[string]string{}
	flatten(values, "spec", tree)
	return values
}

func flatten(values map[string]string, path string, node any) {
	switch node := node.(type) {
	case map[string]any:
		for key, child := range node {
			flatten(values, path+"."+key, child)
		}
	case []any:
		for i, child := range node {
			flatten(values, fmt.Sprintf("%s[%d]", path, i), child)
		}
	default:
		text, err := json.Marshal(node)
		if err != nil {
			text = []byte(err.Error())
		}
		values[path] = string(text)
	}
}
