// SPDX-License-Identifier: Apache-2.0
#include "policy/xml_tree.hpp"

#include <libxml/parser.h>
#include <libxml/relaxng.h>

#include <memory>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace icecore::policy {

namespace {

using DocumentHandle = std::unique_ptr<xmlDoc, base::FreeWith<&xmlFreeDoc>>;
using ParserHandle = std::unique_ptr<xmlParserCtxt, base::FreeWith<&xmlFreeParserCtxt>>;
using SchemaParserHandle = std::unique_ptr<xmlRelaxNGParserCtxt, base::FreeWith<&xmlRelaxNGFreeParserCtxt>>;
using SchemaHandle = std::unique_ptr<xmlRelaxNG, base::FreeWith<&xmlRelaxNGFree>>;
using ValidatorHandle = std::unique_ptr<xmlRelaxNGValidCtxt, base::FreeWith<&xmlRelaxNGFreeValidCtxt>>;

constexpr int k_parse_options = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA;

std::string to_text(const xmlChar* text) { return text == nullptr ? "" : reinterpret_cast<const char*>(text); }

// libxml2's sentences end in a line break.
Problem to_problem(const xmlError& error) {
  std::string text = error.message == nullptr ? "not well-formed" : error.message;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return {static_cast<unsigned>(error.line > 0 ? error.line : 0), text};
}

std::string value_of(const xmlAttr& attribute) {
  const std::unique_ptr<xmlChar, void (*)(void*)> value(xmlNodeListGetString(attribute.doc, attribute.children, 1),
                                                        xmlFree);
  return to_text(value.get());
}

Element to_element(const xmlNode& node) {
  Element element{to_text(node.name), static_cast<unsigned>(xmlGetLineNo(&node)), {}, {}, false};
  for (const xmlAttr* attribute = node.properties; attribute != nullptr; attribute = attribute->next) {
    element.attributes.push_back({to_text(attribute->name), value_of(*attribute)});
  }
  for (const xmlNode* child = node.children; child != nullptr; child = child->next) {
    if (child->type == XML_ELEMENT_NODE) element.children.push_back(to_element(*child));
    if (child->type == XML_TEXT_NODE && xmlIsBlankNode(child) == 0) element.has_text = true;
  }
  return element;
}

DocumentHandle read_document(xmlParserCtxt* parser, std::string_view text) {
  return DocumentHandle(
      xmlCtxtReadMemory(parser, text.data(), static_cast<int>(text.size()), nullptr, nullptr, k_parse_options));
}

// Called by libxml2, so it must not throw: what does not fit into memory is lost.
void collect(void* problems, xmlErrorPtr error) noexcept {
  static_cast<std::vector<Problem>*>(problems)->push_back(to_problem(*error));
}

SchemaHandle read_schema(std::string_view schema) {
  const SchemaParserHandle parser(xmlRelaxNGNewMemParserCtxt(schema.data(), static_cast<int>(schema.size())));
  SchemaHandle parsed(parser ? xmlRelaxNGParse(parser.get()) : nullptr);
  if (!parsed) base::fail(base::Fault::internal, "the built-in policy schema does not parse");
  return parsed;
}

}  // namespace

XmlTree parse_xml(std::string_view text) {
  const ParserHandle parser(xmlNewParserCtxt());
  const DocumentHandle document = read_document(parser.get(), text);
  const xmlNode* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
  if (root == nullptr) {
    const xmlError* error = xmlCtxtGetLastError(parser.get());
    return {{}, {error == nullptr ? Problem{0, "the file is empty"} : to_problem(*error)}};
  }
  // A DTD could define entities, and those could name files or grow without end.
  if (document->intSubset != nullptr) return {{}, {Problem{1, "a DOCTYPE is not allowed here"}}};
  return {to_element(*root), {}};
}

std::vector<Problem> validate(std::string_view text, std::string_view schema) {
  const SchemaHandle parsed = read_schema(schema);
  const ParserHandle parser(xmlNewParserCtxt());
  const DocumentHandle document = read_document(parser.get(), text);
  const ValidatorHandle validator(xmlRelaxNGNewValidCtxt(parsed.get()));
  std::vector<Problem> problems;
  xmlRelaxNGSetValidStructuredErrors(validator.get(), collect, &problems);
  if (xmlRelaxNGValidateDoc(validator.get(), document.get()) != 0 && problems.empty()) {
    problems.push_back({0, "the file does not have the form of the schema"});
  }
  return problems;
}

}  // namespace icecore::policy
