package made

import (
	"bytes"
	"reflect"

	"sigs.k8s.io/yaml"

	"cloakroom.dev/charts/internal/helm"
)

// Overlays are the folders below k8s/overlays; the values of each are in the chart's ci folder.
var Overlays = []string{"trial", "production"}

// WithoutHelm renders the chart for those who apply it themselves: Jobs are no hooks, and pods migrate before they start.
func WithoutHelm(root, overlay string) ([]helm.Object, error) {
	text, err := helm.Template(root, "--values", "cloakroom/ci/"+overlay+"-values.yaml",
		"--set", "hooks.enabled=false", "--set", "migrations.mode=initContainer")
	if err != nil {
		return nil, err
	}
	return helm.Parse(text)
}

const head = "# Made of the chart by `make generate`. Change the chart, or lay an overlay of your own over this.\n"

// kustomize parts what the chart renders: what all overlays have in common is the base.
func kustomize(root string) (map[string][]byte, error) {
	rendered := make([][]helm.Object, len(Overlays))
	for i, overlay := range Overlays {
		var err error
		if rendered[i], err = WithoutHelm(root, overlay); err != nil {
			return nil, err
		}
	}
	base, rest := part(rendered)
	files := map[string][]byte{"k8s/base/kustomization.yaml": kustomization("objects.yaml")}
	var err error
	if files["k8s/base/objects.yaml"], err = stream(base); err != nil {
		return nil, err
	}
	for i, overlay := range Overlays {
		folder := "k8s/overlays/" + overlay + "/"
		files[folder+"kustomization.yaml"] = kustomization("../../base", "objects.yaml")
		if files[folder+"objects.yaml"], err = stream(rest[i]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func part(rendered [][]helm.Object) (base []helm.Object, rest [][]helm.Object) {
	rest = make([][]helm.Object, len(rendered))
	for i, objects := range rendered {
		for _, o := range objects {
			switch common := everywhere(o, rendered); {
			case !common:
				rest[i] = append(rest[i], o)
			case i == 0:
				base = append(base, o)
			}
		}
	}
	return base, rest
}

func everywhere(o helm.Object, rendered [][]helm.Object) bool {
	for _, objects := range rendered {
		there := false
		for _, other := range objects {
			there = there || reflect.DeepEqual(o, other)
		}
		if !there {
			return false
		}
	}
	return true
}

func kustomization(resources ...string) []byte {
	text := head + "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
	for _, r := range resources {
		text += "- " + r + "\n"
	}
	return []byte(text)
}

func stream(objects []helm.Object) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(head)
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes(), nil
}
