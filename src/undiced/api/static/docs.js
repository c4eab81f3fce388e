// The page of the API: text alone; the theme is the chat page's.
import { startTheme } from "./theme.js";

startTheme();
