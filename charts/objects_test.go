package charts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	psapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"cloakroom.dev/charts/internal/helm"
)

// types are the kinds Kubernetes itself defines, of those the chart renders.
var types = map[string]func() any{
	"v1/ConfigMap":                             func() any { return new(corev1.ConfigMap) },
	"v1/Pod":                                   func() any { return new(corev1.Pod) },
	"v1/Service":                               func() any { return new(corev1.Service) },
	"v1/ServiceAccount":                        func() any { return new(corev1.ServiceAccount) },
	"apps/v1/Deployment":                       func() any { return new(appsv1.Deployment) },
	"apps/v1/StatefulSet":                      func() any { return new(appsv1.StatefulSet) },
	"batch/v1/Job":                             func() any { return new(batchv1.Job) },
	"batch/v1/CronJob":                         func() any { return new(batchv1.CronJob) },
	"autoscaling/v2/HorizontalPodAutoscaler":   func() any { return new(autoscalingv2.HorizontalPodAutoscaler) },
	"policy/v1/PodDisruptionBudget":            func() any { return new(policyv1.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":       func() any { return new(networkingv1.NetworkPolicy) },
	"networking.k8s.io/v1/Ingress":             func() any { return new(networkingv1.Ingress) },
	"rbac.authorization.k8s.io/v1/Role":        func() any { return new(rbacv1.Role) },
	"rbac.authorization.k8s.io/v1/RoleBinding": func() any { return new(rbacv1.RoleBinding) },
}

// foreign are kinds that others define; their groups are the whole reason why no type is at hand here.
var foreign = []string{"apiextensions.k8s.io/", "gateway.networking.k8s.io/", "monitoring.coreos.com/", "cert-manager.io/", "cloakroom.dev/"}

// Every field is one Kubernetes knows, and of its type. There is no ClusterRole, and no Secret: none is made by a template.
func TestObjectsAreWellFormed(t *testing.T) {
	each(t, func(t *testing.T, _ string, objects []helm.Object) {
		for _, o := range objects {
			kind, _ := o["apiVersion"].(string)
			kind += "/" + o.Kind()
			of, ok := types[kind]
			if !ok {
				if !hasAnyPrefix(kind, foreign) {
					t.Errorf("%s %s: the chart has no business with it", kind, o.Name())
				}
				continue
			}
			text, err := yaml.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict(text, of()); err != nil {
				t.Errorf("%s %s: %v", kind, o.Name(), err)
			}
		}
	})
}

func hasAnyPrefix(s string, all []string) bool {
	for _, p := range all {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// All pods, those of Jobs and of the trial too, meet the restricted level as the API server would judge them.
func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := psapi.LevelVersion{Level: psapi.LevelRestricted, Version: psapi.LatestVersion()}
	each(t, func(t *testing.T, _ string, objects []helm.Object) {
		seen := 0
		for _, o := range objects {
			pod := template(t, o)
			if pod == nil {
				continue
			}
			seen++
			for _, r := range evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec) {
				if !r.Allowed {
					t.Errorf("%s %s: %s: %s", o.Kind(), o.Name(), r.ForbiddenReason, r.ForbiddenDetail)
				}
			}
			for _, c := range append(pod.Spec.InitContainers, pod.Spec.Containers...) {
				if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
					t.Errorf("%s %s: %s can write to its root", o.Kind(), o.Name(), c.Name)
				}
			}
		}
		if seen < 3 {
			t.Errorf("only %d pods were looked at", seen)
		}
	})
}

// template is the pod that an object makes, nil if it makes none.
func template(t *testing.T, o helm.Object) *corev1.PodTemplateSpec {
	t.Helper()
	var made struct {
		Spec struct {
			Template    *corev1.PodTemplateSpec `json:"template"`
			JobTemplate struct {
				Spec struct {
					Template *corev1.PodTemplateSpec `json:"template"`
				} `json:"spec"`
			} `json:"jobTemplate"`
		} `json:"spec"`
	}
	if o.Kind() == "Pod" {
		var pod corev1.PodTemplateSpec // a pod is its own template
		text, err := yaml.Marshal(o)
		if err == nil {
			err = yaml.Unmarshal(text, &pod)
		}
		if err != nil {
			t.Fatal(err)
		}
		return &pod
	}
	if k := o.Kind(); k != "Deployment" && k != "StatefulSet" && k != "Job" && k != "CronJob" {
		return nil
	}
	text, err := yaml.Marshal(o)
	if err == nil {
		err = yaml.Unmarshal(text, &made)
	}
	if err != nil {
		t.Fatal(err)
	}
	if o.Kind() == "CronJob" {
		return made.Spec.JobTemplate.Spec.Template
	}
	return made.Spec.Template
}

// programs reads which service's folder a ConfigMap is.
var programs = map[string]string{"gateway": "gateway", "auth": "auth-svc", "files": "files-svc"}

// build builds a program where the other tests have it: then there is nothing left to compile or to link.
func build(t *testing.T, program string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, ".bin/tested", program))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", path, "cloakroom.dev/"+program+"/cmd/"+program)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// What is mounted as configuration is accepted by the programs that will read it.
func TestServicesAcceptTheirConfiguration(t *testing.T) {
	binaries := map[string]string{}
	for _, p := range programs {
		binaries[p] = build(t, p)
	}
	each(t, func(t *testing.T, values string, objects []helm.Object) {
		if strings.Contains(values, "everything") { // only boot objects: what they refer to is in the cluster
			text, err := helm.Template(root, "--values", values, "--set", "config.source=ConfigMap")
			if err != nil {
				t.Fatal(err)
			}
			if objects, err = helm.Parse(text); err != nil {
				t.Fatal(err)
			}
		}
		checked := 0
		for _, o := range objects {
			program, ok := programs[strings.TrimPrefix(o.Name(), "cloakroom-")]
			if !ok || o.Kind() != "ConfigMap" {
				continue
			}
			checked++
			folder := t.TempDir()
			data, _ := o["data"].(map[string]any)
			for name, text := range data {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text.(string)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.CommandContext(t.Context(), binaries[program], "check", folder).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", o.Name(), err, out)
			}
		}
		if checked != len(programs) {
			t.Errorf("%d folders were checked", checked)
		}
	})
}
