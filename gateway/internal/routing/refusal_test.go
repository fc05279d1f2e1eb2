package routing_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cloakroom.dev/libs/api/v1alpha1"
	"cloakroom.dev/libs/fault"

	"cloakroom.dev/gateway/internal/routing"
)

func refusals(body string) routeOption {
	return func(r *v1alpha1.Route) { r.Spec.Refusals = &v1alpha1.RouteRefusals{Body: body} }
}

func TestRefusal_FillsTheTemplateInAndNothingEscapesIt(t *testing.T) {
	const body = `{"ok": false, "error": {"code": "{code}", "say": "{title}: {detail}", "n": {status}, "id": "{request_id}"}}`
	table := compile(t, route("other", refusals(body), rule("/other/*", open)), route("own", rule("/own/*", open)))
	rule := table.Nearest("any.example", "/other/x")
	if table.Nearest("any.example", "/own/x").Refusal != nil {
		t.Error("a Route without a template has one")
	}
	if table.Nearest("any.example", "/elsewhere") != nil {
		t.Error("a path that no Route claims is near one")
	}
	doc := routing.Told{Code: "NOT_FOUND", Title: "Not found", Detail: "no \"such\" thing\\\n</script>", Status: 404, RequestID: "id-1"}
	got := rule.Refusal.Fill(doc)
	if rule.Refusal.ContentType != "application/json" {
		t.Errorf("answered as %q", rule.Refusal.ContentType)
	}
	var object struct {
		OK    bool
		Error struct {
			Code, Say, ID string
			N             int
		}
	}
	if err := json.Unmarshal(got, &object); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	if e := object.Error; e.Code != doc.Code || e.Say != "Not found: "+doc.Detail || e.N != 404 || e.ID != "id-1" {
		t.Errorf("filled in as %+v", e)
	}
	doc.Fields = []fault.Field{{Field: "path", Detail: "is bad"}}
	if got := rule.Refusal.Fill(doc); !strings.Contains(string(got), "path: is bad") {
		t.Errorf("the first field is not told: %s", got)
	}
}

func TestRefusal_ATemplateThatMakesNoJSONIsRefused(t *testing.T) {
	for _, body := range []string{
		`{"error": {detail}}`, `{"error": "{reason}"}`, `{"error": "{code}"`, `["{code}"]`, `{"status": {status}0.}`, `{"a": "{detail}\"}`,
	} {
		_, statuses := routing.Compile(boot, snapshot(route("other", refusals(body), rule("/other/*", open))), nil)
		if text := told(statuses[0]); strings.HasPrefix(text, "True") {
			t.Errorf("%s is served: %s", body, text)
		}
	}
}
