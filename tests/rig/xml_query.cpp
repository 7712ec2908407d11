// SPDX-License-Identifier: Apache-2.0
#include "rig/xml_query.hpp"

#include <libxml/parser.h>
#include <libxml/xpath.h>

#include <memory>

#include "base/error.hpp"
#include "base/handle.hpp"

namespace icecore::rig {

namespace {

using Document = std::unique_ptr<xmlDoc, base::FreeWith<&xmlFreeDoc>>;
using Context = std::unique_ptr<xmlXPathContext, base::FreeWith<&xmlXPathFreeContext>>;
using Result = std::unique_ptr<xmlXPathObject, base::FreeWith<&xmlXPathFreeObject>>;

std::string text_of(xmlNode* node) {
  xmlChar* content = xmlNodeGetContent(node);
  std::string text = content != nullptr ? reinterpret_cast<const char*>(content) : "";
  xmlFree(content);
  return text;
}

}  // namespace

std::vector<std::string> xml_values(const std::string& xml, const std::string& xpath) {
  const Document document(xmlReadMemory(xml.data(), static_cast<int>(xml.size()), "domain.xml", nullptr, 0));
  if (!document) base::fail(base::Fault::corrupt, "not an XML document: {}", xml.substr(0, 80));
  const Context context(xmlXPathNewContext(document.get()));
  const Result result(xmlXPathEvalExpression(reinterpret_cast<const xmlChar*>(xpath.c_str()), context.get()));
  if (!result) base::fail(base::Fault::usage, "not an XPath expression: {}", xpath);
  std::vector<std::string> values;
  for (int i = 0; result->nodesetval != nullptr && i < result->nodesetval->nodeNr; ++i) {
    values.push_back(text_of(result->nodesetval->nodeTab[i]));
  }
  return values;
}

std::string xml_value(const std::string& xml, const std::string& xpath) {
  const std::vector<std::string> values = xml_values(xml, xpath);
  if (values.size() > 1) base::fail(base::Fault::conflict, "{} values for {}", values.size(), xpath);
  return values.empty() ? "" : values.front();
}

}  // namespace icecore::rig
