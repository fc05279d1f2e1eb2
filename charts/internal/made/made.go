// Package made is what is made of the chart, as files by their path in the repository.
package made

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Steps make files in this order; each reads what the ones before it have written.
var Steps = []func(root string) (map[string][]byte, error){taken, dialects, schemaFile, readme, kustomize}

// All is what every step makes, of what is in the repository.
func All(root string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for _, step := range Steps {
		files, err := step(root)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	return all, nil
}

// live is a document with a policy that has a file of its own in the chart, out of a file that begins with a boot object.
var live = regexp.MustCompile(`(?m)^kind: (SessionPolicy|StoragePolicy)$`)

// taken is what the chart ships that is kept elsewhere: CRDs, alerts, dashboards, and the Routes and policies of the stack.
func taken(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	crds, err := filepath.Glob(filepath.Join(root, "k8s/crds/*.yaml"))
	if err != nil || len(crds) == 0 {
		return nil, fmt.Errorf("no CRDs (%w)", err)
	}
	for _, path := range crds {
		if files["charts/cloakroom/files/crds/"+filepath.Base(path)], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"alerts/open.rules.yaml", "dashboards/cloakroom-files.json", "dashboards/cloakroom-requests.json",
		"dashboards/cloakroom-rollout.json", "dashboards/cloakroom-saturation.json", "dashboards/cloakroom-trust.json"} {
		if files["charts/cloakroom/files/"+name], err = os.ReadFile(filepath.Join(root, "k8s", name)); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"routes", "policies", "auth", "files"} {
		body, err := os.ReadFile(filepath.Join(root, "stack/config", name+".yaml"))
		if err != nil {
			return nil, err
		}
		text := string(body)
		if name == "auth" || name == "files" {
			for _, document := range strings.Split(text, "\n---\n") {
				if live.MatchString(document) {
					text = strings.TrimRight(document, "\n") + "\n"
				}
			}
		}
		files["charts/cloakroom/files/objects/"+name+".yaml"] = []byte(text)
	}
	return files, nil
}
