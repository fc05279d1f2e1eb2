package admit

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"cloakroom.dev/libs/helper"
)

// helpers have half a minute for one verdict, far above the slowest on a busy machine. Who has waited so long judges itself.
var helpers = helper.NewKind[job, outcome]("admit-for-parent", 30*time.Second)

// Main must come first in the main function of a program whose service shall admit apart (see Apart and helper.Kind).
func Main() {
	helpers.Main(func() func(job) outcome { return New().do })
}

// job is schemas to compile, or an object to judge.
type job struct {
	Warm     []string `json:"warm,omitempty"`
	Kind     string   `json:"kind"`
	Raw, Old content
}

// outcome is a Verdict without its typed object, which the parent makes.
type outcome struct {
	Content  content
	Problems []Problem
	Failed   string
}

// content is an object as JSON in which whole numbers and others can still be told apart.
type content map[string]any

// MarshalJSON writes 1.0 where encoding/json would write 1.
func (c content) MarshalJSON() ([]byte, error) { return json.Marshal(pointed(map[string]any(c))) }

// UnmarshalJSON reads whole numbers as int64, as Admit wants them.
func (c *content) UnmarshalJSON(text []byte) error {
	return utiljson.Unmarshal(text, (*map[string]any)(c))
}

// pointed is v with a point in each number that is no int64.
func pointed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return nil
		}
		out := make(map[string]any, len(v))
		for name, field := range v {
			out[name] = pointed(field)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = pointed(item)
		}
		return out
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return v // json tells that it can't be written
		}
		text := strconv.FormatFloat(v, 'g', -1, 64)
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return json.Number(text)
	default:
		return v
	}
}
