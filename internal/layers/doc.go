// Package layers holds no code. Its test keeps the floors of this module: who
// may import whom, which packages may know a dependency, and which
// dependencies there are.
package layers
