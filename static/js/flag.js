// Loaded before the first paint, so that what needs scripts shows without a jump.
document.documentElement.classList.add("js");
