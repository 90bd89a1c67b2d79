package authz

import (
	"reflect"
	"testing"
)

// TestConfigIsCopied: what the host does with its slices after New is its own
// business. It looks at every slice there is, however deep.
func TestConfigIsCopied(t *testing.T) {
	var c Config
	fill(reflect.ValueOf(&c).Elem())
	d := c.withDefaults()
	apart(t, "Config", reflect.ValueOf(c), reflect.ValueOf(d))
}

// fill gives every slice in v an element.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i))
			}
		}
	}
}

// apart fails for each slice that a and b share.
func apart(t *testing.T, path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Slice:
		if b.Len() != 1 || a.Pointer() == b.Pointer() {
			t.Errorf("%s is not copied", path)
			return
		}
		apart(t, path+"[0]", a.Index(0), b.Index(0))
	case reflect.Struct:
		for i := range a.NumField() {
			apart(t, path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	}
}
